import t from 'tap';
import { Nonces } from '../../../src/auth/possession/nonce.js';

t.test('a nonce is the current one for a period, and taken for one more', async (t) => {
  let now = 1_000;
  let reads = 0;
  const nonces = new Nonces(
    () => {
      reads++;
      return 'secret';
    },
    60,
    () => now,
  );
  const first = nonces.current;
  const read = reads;
  for (let i = 0; i < 10; i++) t.ok(nonces.accepts(nonces.current));
  t.equal(reads, read, 'the secret is read once a period');
  now = 1_020;
  const second = nonces.current;
  t.not(second, first, 'whoever asks is told the newest, also where nobody has shown one since');
  t.ok(reads > read);
  t.ok(nonces.accepts(first));
  t.ok(nonces.accepts(second));
  now = 1_080;
  t.notOk(nonces.accepts(first));
  t.ok(nonces.accepts(second));
  for (const none of [undefined, '', null, 1]) t.notOk(nonces.accepts(none));
  const other = new Nonces(
    () => 'other',
    60,
    () => now,
  );
  t.notOk(other.accepts(second), 'with another secret they are others');
});
