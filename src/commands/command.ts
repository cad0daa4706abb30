import { type ParseArgsConfig, parseArgs } from 'node:util';
import type { Finding } from '../document/finding.js';
import { oneLine } from '../document/one-line.js';
import { PLAIN, printFindings, type Style } from '../document/print.js';

/** A command's environment and standard streams. */
export interface Io {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Whether standard error is a terminal. */
  readonly terminal?: boolean;
  /** How findings look on standard output and on standard error. Absent: plain. */
  readonly styles?: { readonly out: Style; readonly err: Style };
  /** Writes the result to standard output. */
  out(text: string): void;
  /** Writes messages for people to standard error. */
  err(text: string): void;
}

/**
 * Prints findings on standard error.
 *
 * @param texts the lines of files that are not on the disk, by name
 */
export function reportFindings(
  io: Pick<Io, 'err' | 'styles'>,
  findings: readonly Finding[],
  texts?: ReadonlyMap<string, readonly string[]>,
): void {
  if (findings.length > 0) io.err(printFindings(findings, io.styles?.err ?? PLAIN, texts));
}

/** What each file in this folder exports. */
export interface Command {
  /** The text that `--help` prints. Its first line is the usage. */
  readonly help: string;
  /**
   * Runs the command.
   *
   * @param args the arguments after the command's name
   * @returns the exit code
   * @throws UsageError for invalid arguments
   */
  run(args: readonly string[], io: Io): Promise<number>;
}

/** Invalid arguments. The process prints the message and exits with 2. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}

/**
 * Parses a command's arguments strictly.
 *
 * @param args the arguments after the command's name
 * @param allowPositionals whether arguments other than options are allowed
 * @throws UsageError for unknown or incomplete options
 */
export function readArgs<T extends NonNullable<ParseArgsConfig['options']>>(
  args: readonly string[],
  options: T,
  allowPositionals = false,
) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals, strict: true });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ERR_PARSE_ARGS_UNEXPECTED_POSITIONAL') {
      const word = oneLine(args.find((each) => message.includes(`'${each}'`)) ?? '');
      const option = Object.keys(options).includes('config') ? `; is it for --config ${word}?` : '';
      throw new UsageError(`this command takes options alone, and not "${word}"${option}`);
    }
    throw new UsageError(message);
  }
}

/**
 * The value of `--config`.
 *
 * @throws UsageError if it is missing
 */
export function requireConfig(value: string | undefined): string {
  if (value === undefined || value === '') throw new UsageError('--config FILE is missing');
  return value;
}

/**
 * Looks up what the value of an option stands for.
 *
 * @param option the option's name, without the hyphens
 * @throws UsageError if there is no such value
 */
export function choose<T>(option: string, value: string, choices: Readonly<Record<string, T>>): T {
  if (!Object.hasOwn(choices, value))
    throw new UsageError(`--${option} must be one of ${Object.keys(choices).join(', ')}`);
  return choices[value] as T;
}
