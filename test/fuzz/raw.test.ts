import t from 'tap';
import { fuzz } from './raw.js';
import { report } from './report.js';

const SEED = 20260401;

t.test('broken requests bring nothing to the upstream that no client may send', async (t) => {
  report(t, SEED, await fuzz(t, 400, SEED));
});
