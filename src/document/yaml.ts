import {
  Composer,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  type ParsedNode,
  visit,
} from 'yaml';
import type { Finding, Position } from './finding.js';
import { inspect, LimitExceeded, MAX_PER_ANCHOR, type Problem, tokensOf } from './yaml-limits.js';
import { yamlProblem } from './yaml-problem.js';

/** A step into a document: a mapping's key or a sequence's index. */
export type Path = readonly (string | number)[];

/** One YAML (or JSON) document: its plain value, and where each part of it stands. */
export interface SourceDocument {
  readonly file: string;
  /** Plain JavaScript data; mappings are null-prototype-safe objects. */
  readonly value: unknown;
  /** The position of the value at `path`, or of its nearest existing ancestor. */
  at(path: Path): Position;
  /** The position of the key that leads to `path` (for "unknown field"), else that of the value. */
  keyAt(path: Path): Position;
}

/** What {@link readDocuments} returns: the documents that parsed, and what was wrong with the text. */
export interface ReadResult {
  readonly documents: SourceDocument[];
  readonly findings: Finding[];
}

/** The most findings that one document gets: nobody reads more. */
const MAX_FINDINGS = 1_000;

/**
 * Parses the documents of one file. JSON is read too, as the subset of YAML 1.2 that it is.
 * Duplicate keys, tabs as indentation and unknown anchors are errors, never silently resolved: two readers
 * that keep different duplicates see two different rules. So is what exceeds a bound of `yaml-limits.ts`.
 *
 * @param text the file's content
 * @param file its name, as findings print it
 */
export function readDocuments(text: string, file: string): ReadResult {
  const findings: Finding[] = [];
  return { documents: [...documentsOf(text, file, findings)], findings };
}

/**
 * The same one document after the other: whoever is done with one before asking for the next holds one in memory.
 *
 * @param findings gets what is wrong with the text
 * @param reserve asked for memory, in bytes, before it is taken; may throw to end it
 */
export function* documentsOf(
  text: string,
  file: string,
  findings: Finding[],
  reserve: (bytes: number) => void = () => {},
): Generator<SourceDocument> {
  const lines = new LineCounter();
  const where = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(line, 1), col: Math.max(col, 1) };
  };
  const add = ({ offset, code, message }: Problem): void => {
    findings.push({ ...where(offset), level: 'error', code, message });
  };
  const composer = new Composer({
    prettyErrors: false,
    strict: true,
    // By `inspect`: the library compares each key with all before it.
    uniqueKeys: false,
    stringKeys: true,
    version: '1.2',
  });
  try {
    for (const document of composer.compose(tokensOf(text, lines.addNewLine, reserve))) {
      const problems = [
        // What follows the first mistake is a consequence of it.
        ...[...document.errors, ...document.warnings].slice(0, 1).map((problem) => ({
          offset: behindBlanks(text, problem.pos[0]),
          code: 'yaml-syntax',
          message: yamlProblem(problem),
        })),
        ...inspect(document.contents as ParsedNode | null),
      ];
      for (const problem of problems.slice(0, MAX_FINDINGS)) add(problem);
      if (problems.length > 0 || document.contents === null) continue;
      const root = document.contents as Node;
      let value: unknown;
      try {
        value = document.toJS({ maxAliasCount: MAX_PER_ANCHOR });
      } catch (error) {
        // An alias without its anchor, or the bound of aliases; nothing else throws for a document without errors.
        const alias = /unresolved alias/i.test(String(error)) ? unresolvedAlias(root) : undefined;
        const message =
          alias === undefined
            ? `an anchor (&name) is repeated more than ${MAX_PER_ANCHOR} times: write out what it holds`
            : 'an alias (*name) needs an anchor (&name) before it; a text that begins with * must be in quotes';
        add({ offset: alias ?? document.range[0], code: 'yaml-syntax', message });
        continue;
      }
      if (value === null) continue;
      yield {
        file,
        value,
        at: (path) => where(offsetOf(locate(root, path).node) ?? 0),
        keyAt: (path) => {
          const { node, pair } = locate(root, path);
          return where(offsetOf(pair?.key) ?? offsetOf(node) ?? 0);
        },
      };
    }
  } catch (error) {
    if (!(error instanceof LimitExceeded)) throw error;
    add({ offset: error.offset, code: 'yaml-limit', message: error.message });
  }
}

function locate(root: Node, path: Path): { node: unknown; pair: Pair | undefined } {
  let node: unknown = root;
  let pair: Pair | undefined;
  for (const step of path) {
    if (isAlias(node)) break;
    if (isMap(node)) {
      const next = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(step));
      if (next === undefined) break;
      pair = next;
      // A key without a value (`host:`) has a null node; its key is the best position there is.
      node = next.value ?? next.key;
    } else if (isSeq(node)) {
      const next = node.items[Number(step)];
      if (next === undefined) break;
      pair = undefined;
      node = next;
    } else break;
  }
  return { node, pair };
}

/** The parser may point at the blanks before what is wrong. */
function behindBlanks(text: string, offset: number): number {
  let end = offset;
  while (text[end] === ' ') end++;
  return end;
}

/** The offset of the first alias whose anchor does not stand before it. */
function unresolvedAlias(root: Node): number | undefined {
  const anchors = new Set<string>();
  let found: number | undefined;
  visit(root, {
    Node: (_, node) => {
      if (isAlias(node) && !anchors.has(node.source)) {
        found = offsetOf(node);
        return visit.BREAK;
      }
      if (!isAlias(node) && node.anchor !== undefined) anchors.add(node.anchor);
      return undefined;
    },
  });
  return found;
}

function offsetOf(node: unknown): number | undefined {
  const range = (node as { range?: readonly number[] | null } | null | undefined)?.range;
  return range?.[0];
}
