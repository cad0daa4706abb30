import { readFileSync } from 'node:fs';
import type { Position } from './finding.js';

/** Longer lines are cut around the column. */
const WIDTH = 100;
/** A line that may hold a secret is not repeated: what `check` prints ends up in CI logs. */
const SECRET = /secret|token\b|password|passphrase|authorization|:\/\/[^/\s]*@/i;

/**
 * The source line a position points at, with a caret under the column. Control characters are shown as `·`.
 *
 * @param files texts read so far; lines of one file are shown many times
 * @returns two lines, or undefined where there is nothing to show: no such file, or a line that may hold a secret
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
      // A finding about the environment, or about a file that cannot be read.
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
