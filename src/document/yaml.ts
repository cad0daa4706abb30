import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, type Pair, parseAllDocuments } from 'yaml';
import type { Finding, Position } from './finding.js';

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

/**
 * Bounds alias expansion (the "billion laughs" shape): a rule file has no honest need for more.
 */
const MAX_ALIASES = 100;

/**
 * Parses the documents of one file. JSON is read too, as the subset of YAML 1.2 that it is.
 * Duplicate keys, tabs as indentation and unknown anchors are errors, never silently resolved: two readers
 * that keep different duplicates see two different rules.
 *
 * @param text the file's content
 * @param file its name, as findings print it
 */
export function readDocuments(text: string, file: string): ReadResult {
  const lines = new LineCounter();
  const findings: Finding[] = [];
  const documents: SourceDocument[] = [];
  const where = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(line, 1), col: Math.max(col, 1) };
  };

  const parsed = parseAllDocuments(text, {
    lineCounter: lines,
    prettyErrors: false,
    strict: true,
    uniqueKeys: true,
    stringKeys: true,
    version: '1.2',
  });
  for (const document of Array.isArray(parsed) ? parsed : []) {
    const broken = [...document.errors, ...document.warnings];
    for (const problem of broken) {
      const code = problem.code === 'DUPLICATE_KEY' ? 'duplicate-key' : 'yaml-syntax';
      findings.push({ ...where(problem.pos[0]), level: 'error', code, message: firstLine(problem.message) });
    }
    if (broken.length > 0 || document.contents === null) continue;
    try {
      const value: unknown = document.toJS({ maxAliasCount: MAX_ALIASES });
      if (value === null) continue;
      const root = document.contents as Node;
      documents.push({
        file,
        value,
        at: (path) => where(offsetOf(locate(root, path).node) ?? 0),
        keyAt: (path) => {
          const { node, pair } = locate(root, path);
          return where(offsetOf(pair?.key) ?? offsetOf(node) ?? 0);
        },
      });
    } catch (error) {
      // The alias bound; nothing else throws for a document without errors.
      const message = error instanceof Error ? firstLine(error.message) : 'cannot be read';
      findings.push({ ...where(document.range[0]), level: 'error', code: 'yaml-syntax', message });
    }
  }
  return { documents, findings };
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

function offsetOf(node: unknown): number | undefined {
  const range = (node as { range?: readonly number[] | null } | null | undefined)?.range;
  return range?.[0];
}

function firstLine(message: string): string {
  return message.split('\n', 1)[0] ?? message;
}
