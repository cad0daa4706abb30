import { closeSync, fstatSync, openSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Finding } from '../document/finding.js';
import { decodeText, NotText } from '../model/text-file.js';

/** A rule file's text. */
export interface RuleFile {
  /** The path as it was found, which is what findings print. */
  readonly file: string;
  readonly text: string;
}

/** More than any honest rule file holds; a bound, so that a wrong path cannot fill the memory. */
const MAX_BYTES = 32 * 1024 * 1024;

/**
 * Reads rule files. A folder stands for its `*.yaml`, `*.yml` and `*.json` and those of its subfolders, in order of
 * their names. Hidden entries are passed over: a mounted ConfigMap keeps its generations in `..2026_…` and `..data`
 * beside the symbolic links that are its real names. A file that is reached twice is read once.
 *
 * @param paths files and folders
 */
export function readRuleFiles(paths: readonly string[]): { files: RuleFile[]; findings: Finding[] } {
  const files: RuleFile[] = [];
  const findings: Finding[] = [];
  const seen = new Set<string>();

  const visit = (path: string, named: boolean): void => {
    try {
      const real = realpathSync(path);
      if (seen.has(real)) return;
      const stats = statSync(path);
      if (stats.isDirectory()) {
        seen.add(real);
        for (const name of readdirSync(path).sort()) {
          if (!name.startsWith('.')) visit(join(path, name), false);
        }
      } else if (named || /\.(ya?ml|json)$/.test(path)) {
        seen.add(real);
        files.push({ file: path, text: readText(path) });
      }
    } catch (error) {
      findings.push(unreadable(path, error));
    }
  };
  for (const path of paths) visit(path, true);
  return { files, findings };
}

function readText(path: string): string {
  const descriptor = openSync(path, 'r');
  try {
    const stats = fstatSync(descriptor);
    if (!stats.isFile()) throw new Error('is not a regular file');
    if (stats.size > MAX_BYTES) throw new Error(`is larger than ${MAX_BYTES} bytes`);
    return decodeText(readFileSync(descriptor));
  } catch (error) {
    throw error instanceof NotText ? new Error('is not UTF-8 text') : error;
  } finally {
    closeSync(descriptor);
  }
}

function unreadable(file: string, error: unknown): Finding {
  const { code, message } = error as NodeJS.ErrnoException;
  const why = code === undefined ? message : `cannot be read: ${code}`;
  return {
    file,
    line: 1,
    col: 1,
    level: 'error',
    code: 'unreadable-file',
    message: `the rule file or folder ${why}`,
  };
}
