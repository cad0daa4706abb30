import { readFileSync } from 'node:fs';
import type { Position } from './finding.js';
import { UNSAFE } from './one-line.js';

/** Longer lines are cut to this many characters, around the column. */
const WIDTH = 100;
/**
 * Marks a line that may hold a secret. Such a line, and what is indented below it, is not shown, because the output of `check` ends up in CI
 * logs.
 */
const SECRET = /secret|token\b|password|passphrase|authorization|:\/\/[^/\s]*@/i;

/** Whether a line, or one of the keys that it belongs to, looks like that of a secret. */
function mayHoldSecret(lines: readonly string[], index: number): boolean {
  let indent = Number.POSITIVE_INFINITY;
  for (let above = index; above >= 0 && indent > 0; above--) {
    const text = lines[above] ?? '';
    const own = text.search(/\S/);
    // Blank lines belong to no key, and neighbours of the same depth are about something else.
    if (own < 0 || own >= indent) continue;
    indent = own;
    if (SECRET.test(text)) return true;
  }
  return false;
}

/** A source line, and a line below it with a caret under the column. */
export interface Excerpt {
  /** The number of the line and a bar, which are printed before the text. */
  readonly gutter: string;
  readonly text: string;
  readonly caret: string;
}

/**
 * Returns the source line of a position, with a caret under the column. Control characters are shown as `·`.
 *
 * @param files the texts that were read so far; many findings show lines of the same file
 * @returns undefined if the file does not exist or the line may hold a secret
 */
export function excerpt(
  { file, line, col }: Position,
  files: Map<string, readonly string[]>,
): Excerpt | undefined {
  let lines = files.get(file);
  if (lines === undefined) {
    try {
      lines = readFileSync(file, 'utf8').split(/\r?\n/);
    } catch {
      // The finding is about the environment, or about a file that cannot be read.
      lines = [];
    }
    files.set(file, lines);
  }
  const text = lines[line - 1];
  if (text === undefined || text.trim() === '' || mayHoldSecret(lines, line - 1)) return undefined;
  const from = col > WIDTH - 20 ? col - WIDTH / 2 : 0;
  const shown = text
    .slice(from, from + WIDTH)
    .replace(UNSAFE, (character) => '·'.repeat(character.length))
    .replace(/[^\x20-\x7e\u00a1-\ud7ff]/g, '·');
  const gutter = `${line} | `;
  return { gutter, text: shown, caret: `${' '.repeat(gutter.length + Math.max(0, col - 1 - from))}^` };
}
