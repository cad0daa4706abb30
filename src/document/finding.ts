/** Where something stands in a file; line and column count from 1. */
export interface Position {
  readonly file: string;
  readonly line: number;
  readonly col: number;
}

/** The most findings that are looked for in one place, and that are shown: nobody reads more. */
export const MAX_FINDINGS = 1_000;

/** One thing wrong (or doubtful) in a file a person wrote. */
export interface Finding extends Position {
  readonly level: 'error' | 'warning';
  /** Stable, kebab-case, for CI to filter on: `unknown-field`, `duplicate-rule`. */
  readonly code: string;
  readonly message: string;
  /** The APIRule that it is about, `namespace/name`, where it is about one. */
  readonly apiRule?: string;
}

/**
 * Prints a finding as one line, `file:line:col level code message`: the form editors and CI annotators parse.
 * Control characters of hostile file content are shown escaped, so that one finding stays one line.
 */
export function formatFinding(finding: Finding): string {
  const { file, line, col, level, code, message } = finding;
  return `${file}:${line}:${col} ${level} ${code} ${escapeControls(message)}`;
}

/** Orders findings as a reader meets them: by file, then line, then column. */
export function byPosition(a: Position, b: Position): number {
  return compareText(a.file, b.file) || a.line - b.line || a.col - b.col;
}

function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function escapeControls(text: string): string {
  return text.replace(
    /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** A value in a handler's or mutator's `config` that fits the schema and cannot work, with its path inside `config`. */
export class ConfigError extends Error {
  readonly path: readonly (string | number)[];
  constructor(path: readonly (string | number)[], message: string) {
    super(message);
    this.name = 'ConfigError';
    this.path = path;
  }
}
