import { choice, flag, share } from '../kinds.js';
import { section } from '../setting.js';

/** `log`: what is logged, and how. The levels are those of pino. */
export const log = section('The log on standard output.', {
  level: choice('Least level written.', ['trace', 'debug', 'info', 'warn', 'error', 'fatal'], 'info'),
  audit: flag('Write one line for every decision.', true),
  sampleAllowed: share(
    'Share of the allowed requests without trouble that get a line. All others always do.',
    1,
  ),
  pretty: flag('Write lines for people instead of JSON. Absent: if standard output is a terminal.'),
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
