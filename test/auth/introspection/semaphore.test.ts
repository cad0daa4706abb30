import t from 'tap';
import { Gate } from '../../../src/auth/introspection/semaphore.js';

const never = new AbortController().signal;

t.test('so many at once, so many wait, the next is told that it is full', async (t) => {
  const gate = new Gate(2, 2);
  await gate.enter(never);
  await gate.enter(never);
  const order: string[] = [];
  t.notOk(gate.full);
  const third = gate.enter(never).then(() => order.push('third'));
  const fourth = gate.enter(never).then(() => order.push('fourth'));
  t.ok(gate.full);
  gate.leave();
  await third;
  gate.leave();
  await fourth;
  t.same(order, ['third', 'fourth'], 'first come, first served');
});

t.test('whoever gives up waiting takes nobody’s place', async (t) => {
  const gate = new Gate(1, 2);
  await gate.enter(never);
  const deadline = new AbortController();
  const gone = gate.enter(deadline.signal);
  const patient = gate.enter(never);
  deadline.abort(new Error('too late'));
  await t.rejects(gone, { message: 'too late' });
  gate.leave();
  await patient;
  gate.leave();
  await gate.enter(never);
});

t.test('a deadline that has passed lets nobody in', async (t) => {
  const gate = new Gate(1, 1);
  await t.rejects(gate.enter(AbortSignal.abort(new Error('too late'))), { message: 'too late' });
  await gate.enter(never);
  await t.rejects(gate.enter(AbortSignal.abort(new Error('too late'))), { message: 'too late' });
});
