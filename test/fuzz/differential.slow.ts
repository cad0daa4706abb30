import t from 'tap';
import { compare } from './differential.js';

const PATHS = Number(process.env.FUZZ_CASES ?? 100_000);

t.test(
  'real servers behind the gateway resolve the path that was matched',
  { timeout: 1_450_000 },
  async (t) => {
    await compare(t, { nginx: PATHS, node: PATHS, httpbin: PATHS }, 20260401);
  },
);
