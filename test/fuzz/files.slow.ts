import t from 'tap';
import { judgeFiles } from './file-runs.js';

/** Another first seed tries other files: `FUZZ_SEED=5000000 TEST_SLOW=1 node build/test/fuzz/files.slow.js`. */
const FIRST = Number(process.env.FUZZ_SEED ?? 1_000_000);

// A complaint names its seed: `fileCase(seed)` makes the file again.
t.test(
  'thousands of files end no command with a stack trace, an unreadable message or a secret',
  async (t) => {
    t.same(await judgeFiles(FIRST, 2_000, t.testdir({})), []);
  },
);
