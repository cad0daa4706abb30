import { duration, flag, integer, limit } from '../kinds.js';
import { section } from '../setting.js';

/**
 * `reload`: when rules are reloaded, and how much memory and time loading may use. Times are in milliseconds.
 */
export const reload = section(
  'Rules are loaded again when their files change, all or nothing; SIGHUP does it at once.',
  {
    watch: flag('Notice changes of rule files.', true),
    poll: duration(
      'How often contents are compared where the file system tells nothing; 0s for never.',
      '30s',
    ),
    timeout: limit(
      'How long loading a whole rule set may take, at the start as well; a set that takes longer is refused.',
      '60s',
    ),
    maxBytes: integer(
      'Most bytes of all rule files together; a set that has more is refused.',
      33_554_432,
      1,
    ),
  },
);
