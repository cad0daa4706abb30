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

/** One YAML (or JSON) document: its plain value, and the position of each part of it. */
export interface SourceDocument {
  readonly file: string;
  /** Plain JavaScript data. A key such as `__proto__` cannot change the prototype of a mapping. */
  readonly value: unknown;
  /** The position of the value at `path`, or of its nearest existing ancestor. */
  at(path: Path): Position;
  /** The position of the key that leads to `path` (for "unknown field"), or else that of the value. */
  keyAt(path: Path): Position;
}

/** The result of {@link readDocuments}: the documents that could be parsed, and the problems of the text. */
export interface ReadResult {
  readonly documents: SourceDocument[];
  readonly findings: Finding[];
}

/** The most findings that are reported for one document. A reader would not use more. */
const MAX_FINDINGS = 1_000;

/**
 * Parses the documents of one file. JSON is accepted too, because it is a subset of YAML 1.2. Duplicate keys,
 * tabs as indentation and unknown anchors are errors and are never silently resolved: two readers that keep
 * different duplicates see two different rules. A document beyond a limit of `yaml-limits.ts` is an error as
 * well.
 *
 * @param text the content of the file
 * @param file the name of the file, as findings print it
 */
export function readDocuments(text: string, file: string): ReadResult {
  const findings: Finding[] = [];
  return { documents: [...documentsOf(text, file, findings)], findings };
}

/**
 * Parses the documents of one file, one after the other. A caller that drops each document before it asks for
 * the next holds only one in memory.
 *
 * @param findings the list that findings about the text are added to
 * @param reserve called with a number of bytes before that memory is used; may throw to stop the parsing
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
    // `inspect` checks for duplicate keys instead: the library compares each key with all keys before it,
    // which takes quadratic time.
    uniqueKeys: false,
    stringKeys: true,
    version: '1.2',
  });
  try {
    for (const document of composer.compose(tokensOf(text, lines.addNewLine, reserve))) {
      const problems = [
        // Later errors are usually a consequence of the first one.
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
        // Either an alias has no anchor, or the limit of aliases is exceeded. Nothing else throws for a
        // document without errors.
        const alias = /unresolved alias/i.test(String(error)) ? unresolvedAlias(root) : undefined;
        const message =
          alias === undefined
            ? `an anchor (&name) is repeated more than ${MAX_PER_ANCHOR} times: write out what it holds`
            : 'an alias (*name) needs an anchor (&name) before it; put a string that begins with * in quotes';
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
      // A key without a value (`host:`) has a null node, so the key is the best position.
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

/** Skips blanks: the parser may point at the blanks before the problem. */
function behindBlanks(text: string, offset: number): number {
  let end = offset;
  while (text[end] === ' ') end++;
  return end;
}

/** The offset of the first alias that has no anchor before it. */
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
