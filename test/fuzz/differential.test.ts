import t from 'tap';
import { compare } from './differential.js';

t.test('real servers behind the gateway resolve the path that was matched', async (t) => {
  await compare(t, { nginx: 300, node: 300, httpbin: 150 }, 4455);
});
