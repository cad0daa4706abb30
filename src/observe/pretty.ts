import type { DestinationStream } from 'pino';
import { escaped } from '../document/one-line.js';

const LEVELS: Readonly<Record<number, string>> = {
  10: 'TRACE',
  20: 'DEBUG',
  30: 'INFO',
  40: 'WARN',
  50: 'ERROR',
  60: 'FATAL',
};

/** Fields that are already at the beginning of the line. */
const LEADING = new Set([
  'level',
  'time',
  'name',
  'msg',
  'audit',
  'method',
  'host',
  'path',
  'status',
  'decision',
  'ms',
]);

/**
 * Formats log lines for people at a terminal. Values that come from requests are quoted if they contain
 * anything but printable ASCII, so that a client cannot write escape sequences to the terminal.
 *
 * @param destination receives the formatted lines
 * @param isColoured whether lines that somebody should look at have a colour
 */
export function prettyLog(destination: DestinationStream, isColoured = false): DestinationStream {
  return {
    write: (text) => {
      const line = JSON.parse(text) as Record<string, unknown>;
      const colour = isColoured ? colourOf(line) : undefined;
      const shown = pretty(line);
      destination.write(colour === undefined ? `${shown}\n` : `\x1b[${colour}m${shown}\x1b[0m\n`);
    },
  };
}

/** The SGR parameter (ECMA-48 §8.3.117) of a line: red for errors, yellow for warnings and denials. */
function colourOf({ level, decision, status }: Record<string, unknown>): number | undefined {
  if (Number(level) >= 50 || Number(status) >= 500) return 31;
  return Number(level) >= 40 || decision === 'deny' ? 33 : undefined;
}

function pretty(line: Record<string, unknown>): string {
  const time = new Date(Number(line.time)).toISOString().slice(11, 23);
  const rest = Object.entries(line)
    .filter(
      ([name]) =>
        !LEADING.has(name) || (line.audit === undefined && !['level', 'time', 'name', 'msg'].includes(name)),
    )
    .map(([name, value]) => `${name}=${shown(value)}`);
  const lead =
    line.audit === undefined
      ? [LEVELS[Number(line.level)] ?? String(line.level), shown(line.msg)]
      : [
          line.decision === 'allow' ? (line.would_deny === undefined ? 'allow' : 'WOULD DENY') : 'DENY ',
          String(line.status),
          shown(line.method),
          `${shown(line.host ?? '-')}${shown(line.path ?? '')}`,
          `${Number(line.ms)}ms`,
        ];
  return [time, ...lead, ...rest].join(' ');
}

function shown(value: unknown): string {
  if (typeof value !== 'string') return JSON.stringify(value) ?? '';
  return /^[\x21\x23-\x7e]*$/.test(value) ? value : JSON.stringify(value).replace(/[^\x20-\x7e]/g, escaped);
}
