import { choice } from '../kinds.js';

/** `enforcement`: whether the gateway enforces its decisions. */
export const enforcement = choice(
  'enforce: scopegate refuses denied requests. observe: a dry run. scopegate decides, counts and logs denials as would_deny, and every request passes, except those that no rule matches or whose path is malformed. A rule can set scopegate.enforcement to override this.',
  ['enforce', 'observe'],
  'enforce',
);
