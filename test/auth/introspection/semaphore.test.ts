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

t.test('a deadline that passes after its turn came takes nobody’s place either', async (t) => {
  const gate = new Semaphore(1, 2);
  await gate.acquire(never);
  const deadline = new AbortController();
  const first = gate.acquire(deadline.signal);
  const second = gate.acquire(never);
  gate.release();
  await first;
  deadline.abort(new Error('too late'));
  t.same(gate.load, { running: 1, waiting: 1 });
  gate.release();
  await second;
  gate.release();
  t.same(gate.load, { running: 0, waiting: 0 });
});

t.test('where nobody may wait, it is full when all places are taken, and not before', async (t) => {
  const gate = new Semaphore(2, 0);
  t.notOk(gate.full);
  await gate.acquire(never);
  t.notOk(gate.full);
  await gate.acquire(never);
  t.ok(gate.full);
  gate.release();
  t.notOk(gate.full);
});

t.test('a deadline that has passed lets nobody in', async (t) => {
  const gate = new Semaphore(1, 1);
  await t.rejects(gate.acquire(AbortSignal.abort(new Error('too late'))), { message: 'too late' });
  await gate.acquire(never);
  await t.rejects(gate.acquire(AbortSignal.abort(new Error('too late'))), { message: 'too late' });
});
