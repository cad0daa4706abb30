import { Readable } from 'node:stream';
import t from 'tap';
import { BufferedBodies, type BufferedBody } from '../../src/proxy/buffered-bodies.js';
import { type BodyLimits, RequestBody } from '../../src/proxy/request-body.js';
import type { Scope } from '../gateway.js';
import { fakeTime, turn } from './upstream/fake-time.js';

/** A client's request, whose body a test sends. */
class Message extends Readable {
  complete = false;
  constructor() {
    super({ read() {}, autoDestroy: false });
  }
  /** The last byte is there. */
  whole(): void {
    this.complete = true;
    this.push(null);
  }
}

function setUp(t: Scope, limits: Partial<BodyLimits> = {}, watch?: (piece: Buffer) => void) {
  const time = fakeTime(t);
  const message = new Message();
  const buffered = new BufferedBodies();
  const all = { maxBytes: 0, idleTimeout: 0, minRate: 0, buffer: 4_096, ...limits };
  const body = new RequestBody(message as never, all, buffered, watch);
  let fault: string | undefined;
  body.on('error', (error: Error & { code?: string }) => {
    fault = error.code ?? error.message;
  });
  return {
    time,
    message,
    buffered,
    body,
    async send(bytes: number): Promise<void> {
      message.push('x'.repeat(bytes));
      await turn();
      await turn();
    },
    /** Lets time pass. @returns why the body did not arrive, if so */
    async after(milliseconds: number): Promise<string | undefined> {
      time.advance(milliseconds);
      await turn();
      await turn();
      return fault;
    },
    fault: (): string | undefined => fault,
  };
}

t.test('a body may have as many bytes as is set', async (t) => {
  for (const [maxBytes, bytes, fault] of [
    [10, 10, undefined],
    [10, 11, 'request_body_too_large'],
    [1, 2, 'request_body_too_large'],
    [0, 100_000, undefined],
  ] as const) {
    const { body, send, after } = setUp(t, { maxBytes });
    body.resume();
    await send(bytes);
    t.equal(await after(0), fault, `${bytes} of ${maxBytes}`);
  }
});

t.test('a request takes a connection when its body is whole, or the buffer is full, and once', async (t) => {
  for (const [sizes, ready] of [
    [[100], 0],
    [[3_839], 0],
    [[3_840], 1],
    [[5_000], 1],
    [[5_000, 5_000], 1],
  ] as const) {
    const { body, send, buffered } = setUp(t);
    let times = 0;
    body.fill(() => times++);
    await turn();
    for (const size of sizes) await send(size);
    t.equal(times, ready, `${sizes} bytes, and what a piece takes besides`);
    t.equal(buffered.bytes, ready === 0 ? sizes[0] + 256 : 0, 'held until then');
    body.destroy();
    t.equal(buffered.count, 0);
  }
  const { body, message, send, buffered } = setUp(t);
  let times = 0;
  body.fill(() => times++);
  await send(10);
  t.notOk(body.complete);
  message.whole();
  await turn();
  t.equal(times, 1);
  t.ok(body.complete);
  t.same([buffered.bytes, buffered.count], [0, 0]);
  t.equal((await body.toArray()).join(''), 'x'.repeat(10));
});

t.test(
  'a body that ends before it is whole, or is broken, is an error; one that was whole is not',
  async (t) => {
    for (const [event, fault] of [
      ['close', 'request_body_broken'],
      ['error', 'request_body_broken'],
      ['nothing', undefined],
    ] as const) {
      const { body, message, send, after } = setUp(t);
      body.resume();
      await send(10);
      if (event !== 'nothing') message.emit(event, new Error('x'));
      t.equal(await after(0), fault, event);
    }
    const { body, message, send, after } = setUp(t);
    body.resume();
    await send(10);
    message.whole();
    await turn();
    message.emit('close');
    t.equal(await after(0), undefined);
  },
);

t.test('a client may pause for as long as is set, and the time runs only while somebody reads', async (t) => {
  const { body, send, after } = setUp(t, { idleTimeout: 1_000 });
  t.equal(await after(10_000), undefined, 'nobody has asked for it yet');
  body.resume();
  await turn();
  t.equal(await after(998), undefined);
  await send(1);
  t.equal(await after(998), undefined, 'each byte begins anew');
  t.equal(await after(2), 'request_body_stalled');

  const full = setUp(t, { idleTimeout: 1_000, buffer: 10 });
  full.body.read(0);
  await full.send(10);
  t.equal(await full.after(10_000), undefined, 'the upstream takes its time');
  full.body.resume();
  await turn();
  t.equal(await full.after(998), undefined, 'and then the client has all of its own again');
  t.equal(await full.after(2), 'request_body_stalled');
});

t.test('a client has five seconds, and then must have kept to the least rate', async (t) => {
  for (const [bytes, seconds, fault] of [
    [0, 4.9, undefined],
    [0, 5.1, 'request_body_too_slow'],
    [499, 5.1, 'request_body_too_slow'],
    [520, 5.1, undefined],
    [520, 6.2, 'request_body_too_slow'],
    [650, 6.2, undefined],
  ] as const) {
    const { body, send, after } = setUp(t, { minRate: 100 });
    body.resume();
    await turn();
    if (bytes > 0) await send(bytes);
    let found: string | undefined;
    for (let passed = 0; passed < seconds * 10; passed++) found = await after(100);
    t.equal(found, fault, `${bytes} bytes in ${seconds} s`);
  }
  const both = setUp(t, { minRate: 100, idleTimeout: 1_000 });
  both.body.resume();
  await turn();
  t.equal(
    await both.after(1_000),
    'request_body_stalled',
    'with both limits the first that is reached counts',
  );
  const slow = setUp(t, { minRate: 100, idleTimeout: 60_000 });
  slow.body.resume();
  await turn();
  t.equal(await slow.after(5_001), 'request_body_too_slow');
});

t.test('while the upstream does not take more, the rate is not the client’s', async (t) => {
  const { body, send, after } = setUp(t, { minRate: 100, buffer: 10 });
  body.read(0);
  await send(10);
  t.equal(await after(60_000), undefined);
  body.resume();
  await turn();
  t.equal(await after(4_900), undefined);
  t.equal(await after(200), 'request_body_too_slow', 'from then on it counts again');
});

t.test('once the answer has begun the body may come at any rate', async (t) => {
  const { body, after, send } = setUp(t, { minRate: 100, idleTimeout: 1_000 });
  body.resume();
  await turn();
  body.allowAnyRate();
  t.equal(await after(100_000), undefined);
  await send(1);
  t.equal(await after(100_000), undefined);
});

t.test('a body whose reader leaves leaves the client’s request alone, and no timer', async (t) => {
  const { body, message, time, send } = setUp(t, { minRate: 100, idleTimeout: 1_000 });
  let ready = 0;
  body.fill(() => ready++);
  await send(1);
  body.destroy();
  await turn();
  t.notOk(message.destroyed);
  t.ok(message.isPaused());
  t.equal(time.timers.pending, 0);
  for (const event of ['data', 'end', 'aborted']) t.equal(message.listenerCount(event), 0, event);
  message.whole();
  await turn();
  t.equal(ready, 0);
});

t.test('who watches a body sees each piece, and if it throws the body ends', async (t) => {
  const seen: string[] = [];
  const { body, send } = setUp(t, {}, (piece) => void seen.push(`${piece}`));
  body.resume();
  await send(2);
  await send(1);
  t.same(seen, ['xx', 'x']);
  const broken = setUp(t, {}, () => {
    throw new Error('no');
  });
  broken.body.resume();
  await broken.send(1);
  t.equal(broken.fault(), 'no');
});

t.test('bodies that are read ahead share memory: the oldest gives way, as often as is needed', async (t) => {
  const evicted: string[] = [];
  const named = (name: string): BufferedBody => ({ evict: () => void evicted.push(name) });
  const [a, b, c] = [named('a'), named('b'), named('c')];
  const bodies = new BufferedBodies(10);
  bodies.hold(a, 3);
  bodies.hold(b, 3);
  bodies.hold(a, 4);
  t.same([bodies.bytes, bodies.count, evicted], [10, 2, []], 'exactly full');
  bodies.hold(c, 1);
  t.same([bodies.bytes, bodies.count, evicted], [4, 2, ['a']]);
  bodies.release(a);
  t.equal(bodies.bytes, 4, 'it holds nothing any more');
  bodies.hold(c, 7);
  t.same([bodies.bytes, bodies.count, evicted], [8, 1, ['a', 'b']]);
  bodies.hold(b, 20);
  t.same([bodies.bytes, bodies.count, evicted], [0, 0, ['a', 'b', 'c', 'b']], 'it may be the newest itself');
  const { body, after } = setUp(t);
  body.evict();
  t.equal(await after(0), 'request_body_evicted');
});

t.test('what goes on at once is not held', async (t) => {
  const { body, send, buffered } = setUp(t);
  body.resume();
  await send(10);
  t.same([buffered.bytes, buffered.count], [0, 0]);
});

t.test('a body that was read whole leaves nothing on the request', async (t) => {
  const { body, message, send, time } = setUp(t, { idleTimeout: 1_000 });
  body.resume();
  await send(10);
  message.whole();
  await turn();
  await turn();
  t.ok(body.destroyed);
  for (const event of ['data', 'end', 'aborted']) t.equal(message.listenerCount(event), 0, event);
  t.equal(time.timers.pending, 0);
});
