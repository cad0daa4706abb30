import { readFileSync } from 'node:fs';
import type { Position } from './finding.js';

/** Longer lines are cut to this many characters, around the column. */
const WIDTH = 100;
/**
 * Marks a line that may hold a secret. Such a line is not shown, because the output of `check` ends up in CI
 * logs.
 */
const SECRET = /secret|token\b|password|passphrase|authorization|:\/\/[^/\s]*@/i;

/**
 * Returns the source line of a position, with a caret under the column. Control characters are shown as `·`.
 *
 * @param files the texts that were read so far; many findings show lines of the same file
 * @returns two lines; undefined if the file does not exist or the line may hold a secret
 */
export function excerpt(
  { file, line, col }: Position,
  files: Map<string, readonly string[]>,
): string | undefined {
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
  if (text === undefined || text.trim() === '' || SECRET.test(text)) return undefined;
  const from = col > WIDTH - 20 ? col - WIDTH / 2 : 0;
  const shown = text.slice(from, from + WIDTH).replace(/[^\x20-\x7e\u00a1-\ud7ff]/g, '·');
  const gutter = `${line} | `;
  return `  ${gutter}${shown}\n  ${' '.repeat(gutter.length + Math.max(0, col - 1 - from))}^`;
}
