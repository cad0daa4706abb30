import { duration, flag, integer, limit } from '../kinds.js';
import { section } from '../setting.js';

/**
 * `reload`: when rules are reloaded, and how much memory and time loading may use. Times are in milliseconds.
 */
export const reload = section(
  'scopegate loads the rules again when their files change, all or nothing. SIGHUP does it at once.',
  {
    watch: flag('Watch the rule files for changes.', true),
    poll: duration(
      'How often scopegate compares contents, for file systems that report no changes; 0s means never.',
      '30s',
    ),
    timeout: limit(
      'Timeout for loading a whole rule set, also at start. A set that takes longer is refused.',
      '60s',
    ),
    maxBytes: integer(
      'Size limit of all rule files together, in bytes. A larger set is refused.',
      33_554_432,
      1,
    ),
  },
);
