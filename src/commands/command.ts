import { type ParseArgsConfig, parseArgs } from 'node:util';

/** What a command reads and writes besides files and sockets. */
export interface Io {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Whether standard error is a person's terminal. */
  readonly terminal?: boolean;
  /** Writes to standard output: the result. */
  out(text: string): void;
  /** Writes to standard error: what a person should know besides. */
  err(text: string): void;
}

/** What each file in this folder exports. */
export interface Command {
  /** What `--help` prints; its first line is the usage. */
  readonly help: string;
  /**
   * @param args what follows the command's name
   * @returns the exit code
   * @throws UsageError for arguments that make no sense
   */
  run(args: readonly string[], io: Io): Promise<number>;
}

/** Arguments that make no sense; the process prints the message and exits with 2. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}

/**
 * Parses a command's arguments strictly.
 *
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
    throw new UsageError((error as Error).message);
  }
}

/**
 * The value of `--config`.
 *
 * @throws UsageError when it is missing
 */
export function requireConfig(value: string | undefined): string {
  if (value === undefined || value === '') throw new UsageError('--config FILE is missing');
  return value;
}
