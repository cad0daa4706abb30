import t from 'tap';
import { compare } from './differential.js';

t.test('real servers behind the gateway resolve the path that was matched', async (t) => {
  await compare(t, { nginx: 2_000, node: 2_000, httpbin: 1_000 }, 4455);
});
