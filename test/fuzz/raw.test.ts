import t from 'tap';
import { fuzz } from './raw.js';
import { report } from './report.js';

t.test('thousands of broken requests bring nothing to the upstream that no client may send', async (t) => {
  report(
    t,
    'requests',
    20260401,
    await fuzz(t, Number(process.env.FUZZ_CASES ?? 4_000), Number(process.env.FUZZ_SEED ?? 20260401)),
  );
});
