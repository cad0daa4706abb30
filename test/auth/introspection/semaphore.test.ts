import t from 'tap';
import { Semaphore } from '../../../src/auth/introspection/semaphore.js';

const never = new AbortController().signal;

t.test('so many at once, so many wait, the next is told that it is full', async (t) => {
  const gate = new Semaphore(2, 2);
  await gate.acquire(never);
  await gate.acquire(never);
  const order: string[] = [];
  t.notOk(gate.full);
  const third = gate.acquire(never).then(() => order.push('third'));
  const fourth = gate.acquire(never).then(() => order.push('fourth'));
  t.ok(gate.full);
  gate.release();
  await third;
  gate.release();
  await fourth;
  t.same(order, ['third', 'fourth'], 'first come, first served');
});

t.test('whoever gives up waiting takes nobody’s place', async (t) => {
  const gate = new Semaphore(1, 2);
  await gate.acquire(never);
  const deadline = new AbortController();
  const gone = gate.acquire(deadline.signal);
  const patient = gate.acquire(never);
  deadline.abort(new Error('too late'));
  await t.rejects(gone, { message: 'too late' });
  gate.release();
  await patient;
  gate.release();
  await gate.acquire(never);
});

t.test('a deadline that has passed lets nobody in', async (t) => {
  const gate = new Semaphore(1, 1);
  await t.rejects(gate.acquire(AbortSignal.abort(new Error('too late'))), { message: 'too late' });
  await gate.acquire(never);
  await t.rejects(gate.acquire(AbortSignal.abort(new Error('too late'))), { message: 'too late' });
});
