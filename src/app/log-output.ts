import pino, { type DestinationStream, type Logger } from 'pino';
import type { Settings } from '../config/settings.js';
import { formatLines } from '../observe/line-format.js';
import { openSink } from '../observe/log.js';
import { prettyLog } from '../observe/pretty.js';

/** Where log lines go, and the logger that writes them. */
export interface LogOutput {
  readonly log: Logger;
  /** Writes a line that is already formatted. */
  write(line: string): void;
  /** Whether audit lines are written. */
  readonly audits: boolean;
  /** How many lines were dropped because nobody read them. */
  dropped(): number;
  /** Whether new lines would be written now. */
  hasRoom(): boolean;
}

/**
 * Opens the log.
 *
 * @param destination receives the lines; if undefined, they go to standard output, written in the background
 * @param isColoured whether lines for people have colours
 */
export function openLog(
  { log: settings }: Settings,
  destination: DestinationStream | undefined,
  isColoured = false,
): LogOutput {
  const sink = destination === undefined ? openSink() : undefined;
  const lines = (destination ?? sink) as DestinationStream;
  const isPretty = settings.pretty ?? (destination === undefined && process.stdout.isTTY === true);
  const stream = isPretty ? prettyLog(lines, isColoured) : formatLines(lines, settings);
  const log = pino({ level: settings.level, base: { name: 'scopegate' } }, stream);
  return {
    log,
    write: (line) => void stream.write(line),
    audits: settings.audit && log.isLevelEnabled('info'),
    dropped: () => sink?.dropped ?? 0,
    hasRoom: () => sink?.hasRoom ?? true,
  };
}
