import t from 'tap';
import { fuzz } from './raw.js';
import { report } from './report.js';

const SEED = Number(process.env.FUZZ_SEED ?? 4455);
/** Each case has one mutation and a half on average; unmutated ones among them show that good requests still pass. */
const CASES = Number(process.env.FUZZ_CASES ?? 200_000);

t.test(
  'hundreds of thousands of mutations bring nothing to the upstream that no client may send',
  { timeout: 1_400_000 },
  async (t) => {
    const result = await fuzz(t, CASES, SEED);
    report(t, SEED, result);
    t.ok(result.mutations >= 200_000 || CASES < 200_000, `${result.mutations} mutations`);
  },
);
