import { choice, flag, share } from '../kinds.js';
import { section } from '../setting.js';

/** `log`: what is logged, and how. The levels are those of pino. */
export const log = section('The log on standard output.', {
  level: choice(
    'Lowest level that scopegate writes.',
    ['trace', 'debug', 'info', 'warn', 'error', 'fatal'],
    'info',
  ),
  audit: flag('Write one line for every decision.', true),
  sampleAllowed: share(
    'Share of the allowed requests without an error that get a line. All other requests always get one.',
    1,
  ),
  pretty: flag('Write lines for people instead of JSON. Absent: only if standard output is a terminal.'),
  levels: choice(
    'How levels are written in JSON: numbers as pino has them (30), or names ("info").',
    ['numbers', 'names'],
    'numbers',
  ),
  times: choice(
    'How times are written in JSON: milliseconds since 1970, or RFC 3339 in UTC.',
    ['epoch', 'iso'],
    'epoch',
  ),
});
