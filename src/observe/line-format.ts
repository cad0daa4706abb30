import type { DestinationStream } from 'pino';

/** How the level and the time of each line are written. */
export interface LineFormat {
  /** `numbers` as pino has them (30), or `names` (`"info"`). */
  readonly levels: 'numbers' | 'names';
  /** `epoch` for milliseconds since 1970, or `iso` for RFC 3339 in UTC. */
  readonly times: 'epoch' | 'iso';
}

/** pino writes level and time first, and so do audit lines. */
const START = /^\{"level":(\d+),"time":(\d+)/;

const LEVELS: Readonly<Record<string, string>> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
  60: 'fatal',
};

/**
 * Writes levels and times in a form for log systems that do not know pino's form.
 *
 * @param destination receives the lines
 * @returns the destination itself if lines stay as they are
 */
export function formatLines(
  destination: DestinationStream,
  { levels, times }: LineFormat,
): DestinationStream {
  if (levels === 'numbers' && times === 'epoch') return destination;
  const start = (_: string, level: string, time: string): string => {
    const named = levels === 'names' ? JSON.stringify(LEVELS[level] ?? level) : level;
    return `{"level":${named},"time":${times === 'iso' ? `"${new Date(Number(time)).toISOString()}"` : time}`;
  };
  return { write: (line) => destination.write(line.replace(START, start)) };
}
