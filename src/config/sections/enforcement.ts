import { choice } from '../kinds.js';

/** `enforcement`: whether the gateway enforces its decisions. */
export const enforcement = choice(
  'enforce: denied requests are refused. observe: a dry run; decisions are made, counted and logged as would_deny, and every request passes, but for those that no rule matches or whose path is malformed. A rule can say the other in scopegate.enforcement.',
  ['enforce', 'observe'],
  'enforce',
);
