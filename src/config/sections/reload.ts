import { duration, flag } from '../kinds.js';
import { section } from '../setting.js';

/** `reload`: when rules are loaded again. Times are in milliseconds. */
export const reload = section(
  'Rules are loaded again when their files change, all or nothing; SIGHUP does it at once.',
  {
    watch: flag('Notice changes of rule files.', true),
    poll: duration(
      'How often contents are compared where the file system tells nothing; 0s for never.',
      '30s',
    ),
  },
);
