import { randomInt } from 'node:crypto';
import t from 'tap';
import { judgeFiles } from './file-runs.js';

// A complaint names its seed: `fileCase(seed)` makes the file again.
t.test(
  'thousands of files end no command with a stack trace, an unreadable message or a secret',
  async (t) => {
    const from = randomInt(1_000_000, 2_000_000_000);
    t.comment(`seeds from ${from}`);
    t.same(await judgeFiles(from, 2_000, t.testdir({})), []);
  },
);
