import type { DestinationStream } from 'pino';

const LEVELS: Readonly<Record<number, string>> = {
  10: 'TRACE',
  20: 'DEBUG',
  30: 'INFO',
  40: 'WARN',
  50: 'ERROR',
  60: 'FATAL',
};

/** Fields that the line's beginning tells already. */
const TOLD = new Set([
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
 * Turns log lines into lines for people at a terminal. Values that come from requests are quoted where they hold
 * anything but printable ASCII: no client writes escape sequences onto a terminal.
 *
 * @param destination gets the lines
 */
export function prettyLog(destination: DestinationStream): DestinationStream {
  return { write: (line) => destination.write(`${pretty(JSON.parse(line) as Record<string, unknown>)}\n`) };
}

function pretty(line: Record<string, unknown>): string {
  const time = new Date(Number(line.time)).toISOString().slice(11, 23);
  const rest = Object.entries(line)
    .filter(
      ([name]) =>
        !TOLD.has(name) || (line.audit === undefined && !['level', 'time', 'name', 'msg'].includes(name)),
    )
    .map(([name, value]) => `${name}=${shown(value)}`);
  const lead =
    line.audit === undefined
      ? [LEVELS[Number(line.level)] ?? String(line.level), shown(line.msg)]
      : [
          line.decision === 'allow' ? 'allow' : 'DENY ',
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

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
