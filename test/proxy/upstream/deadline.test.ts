import t from 'tap';
import { Deadline } from '../../../src/proxy/upstream/deadline.js';
import type { Scope } from '../../gateway.js';
import { fakeTime, turn } from './fake-time.js';

function setUp(t: Scope) {
  let late = 0;
  const time = fakeTime(t);
  const deadline = new Deadline(() => late++);
  /** Lets time pass. @returns how often the limit was reached until then */
  const after = async (milliseconds: number): Promise<number> => {
    time.advance(milliseconds);
    await turn();
    return late;
  };
  return { time, deadline, after };
}

t.test('a limit is reached at its time, once', async (t) => {
  const { time, deadline, after } = setUp(t);
  deadline.wait(100);
  t.equal(await after(99), 0);
  t.equal(await after(1), 1);
  t.equal(await after(1_000), 1);
  t.equal(time.timers.pending, 0);
});

t.test('whoever waits anew waits from now on, and a thousand times cost no thousand timers', async (t) => {
  const { time, deadline, after } = setUp(t);
  for (let i = 0; i < 1_000; i++) {
    deadline.wait(100);
    time.advance(1);
  }
  t.equal(await after(98), 0);
  t.equal(await after(1), 1);
  t.ok(time.timers.set < 20, `${time.timers.set} timers`);
});

t.test('a shorter limit counts at once', async (t) => {
  const { deadline, after } = setUp(t);
  deadline.wait(1_000);
  deadline.wait(10);
  t.equal(await after(10), 1);
});

t.test('a timer that goes off half a millisecond early is in time', async (t) => {
  const { time, deadline, after } = setUp(t);
  deadline.wait(10);
  t.equal(await after(9.5), 1);
  t.equal(time.timers.set, 1);
});

t.test('there is no limit any more: nothing is reached, and no timer is set anew', async (t) => {
  const { time, deadline, after } = setUp(t);
  deadline.wait(100);
  deadline.wait(0);
  t.equal(await after(10_000), 0);
  t.same(time.timers, { set: 1, pending: 0 });
  deadline.wait(100);
  t.equal(await after(100), 1, 'until there is one again');
  deadline.wait(100);
  deadline.end();
  t.equal(time.timers.pending, 0, 'whoever ends it leaves no timer');
  deadline.wait(50);
  t.equal(await after(50), 2, 'and may begin anew');
});

t.test('what came in while the process was held up counts', async (t) => {
  const { time, deadline } = setUp(t);
  let late = false;
  const held = new Deadline(() => {
    late = true;
  });
  deadline.wait(1);
  held.wait(100);
  time.advance(500);
  // It was read after the timer had gone off.
  held.wait(100);
  await turn();
  t.notOk(late);
  time.advance(100);
  await turn();
  t.ok(late);
});
