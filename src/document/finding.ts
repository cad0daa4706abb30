import { oneLine } from './one-line.js';

/** A position in a file; line and column count from 1. */
export interface Position {
  readonly file: string;
  readonly line: number;
  readonly col: number;
}

/**
 * The most findings that are searched for in one place, and the most that are shown. A reader would not use
 * more.
 */
export const MAX_FINDINGS = 1_000;

/** One error or warning about a file that a person wrote. */
export interface Finding extends Position {
  readonly level: 'error' | 'warning';
  /** Stable, kebab-case, for CI to filter on: `unknown-field`, `duplicate-rule`. */
  readonly code: string;
  readonly message: string;
  /** The APIRule that the finding is about, as `namespace/name`; absent if it is about none. */
  readonly apiRule?: string;
}

/**
 * Formats a finding as one line, `file:line:col level code message`, which editors and CI annotators can
 * parse. Neither the content nor the name of a hostile file can break the line.
 */
export function formatFinding(finding: Finding): string {
  const { level, code, message } = finding;
  return `${formatPosition(finding)} ${level} ${code} ${oneLine(message)}`;
}

/** Formats a position as `file:line:col`. */
export function formatPosition({ file, line, col }: Position): string {
  return `${oneLine(file)}:${line}:${col}`;
}

/** Whether a finding is an error, not a warning. */
export function isError({ level }: Pick<Finding, 'level'>): boolean {
  return level === 'error';
}

/** Compares findings by file, then line, then column. */
export function byPosition(a: Position, b: Position): number {
  return compareText(a.file, b.file) || a.line - b.line || a.col - b.col;
}

function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/**
 * A value in the `config` of a handler or mutator that is valid by the schema but cannot work. It has the
 * value's path inside `config`.
 */
export class ConfigError extends Error {
  readonly path: readonly (string | number)[];
  constructor(path: readonly (string | number)[], message: string) {
    super(message);
    this.name = 'ConfigError';
    this.path = path;
  }
}
