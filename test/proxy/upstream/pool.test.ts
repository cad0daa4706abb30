import { PassThrough } from 'node:stream';
import t from 'tap';
import type { ResponseReader, Waiting } from '../../../src/proxy/upstream/client.js';
import { Pool, type PoolOptions, READING } from '../../../src/proxy/upstream/pool.js';
import { turn } from './fake-time.js';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi';
const HALF = OK.slice(0, -1);
const GET = { method: 'GET', path: '/', fields: [], body: undefined, length: undefined, timeout: 700 };

/** A request, and what became of it. */
class Asked implements ResponseReader {
  told = '';
  waiting: Waiting | undefined;
  timeout: number | undefined;
  onWait(waiting: Waiting, timeout: number): void {
    this.waiting = waiting;
    this.timeout = timeout;
  }
  onStart(): void {
    this.told += 'started ';
  }
  onEarlyHints(): void {}
  onHead(): void {}
  mayLast(): boolean {
    return true;
  }
  onLong(): void {
    this.told += 'long ';
  }
  onData(): boolean {
    return true;
  }
  onEnd(): void {
    this.told += 'ended';
  }
  onError(error: Error & { code?: string }): void {
    this.told += error.code;
  }
}

/** A pool whose connections a test opens and answers on. */
function setUp(options: Partial<PoolOptions> = {}) {
  const attempts: ((error?: Error) => PassThrough)[] = [];
  const pool = new Pool({
    origin: 'http://up.example',
    connections: 1,
    longExchanges: 1,
    queueTimeout: 300,
    idleTimeout: 0,
    maxHeadBytes: 1_000,
    connect: (_where, done) => {
      attempts.push((error) => {
        const socket = new PassThrough();
        if (error === undefined) done(null, socket as never);
        else done(error, null);
        return socket;
      });
    },
    ...options,
  });
  return {
    pool,
    /** How many connections were asked for that are not open yet. */
    attempts,
    ask(long = false): Asked {
      const asked = new Asked();
      pool.dispatch(GET, asked, long);
      return asked;
    },
    /** Opens the connection that was asked for first. */
    open: (error?: Error): PassThrough => (attempts.shift() as (error?: Error) => PassThrough)(error),
    answer: (socket: PassThrough, text: string): boolean =>
      READING.callback.call(socket, text.length, Buffer.from(text)),
  };
}

const failure = Object.assign(new Error('x'), { code: 'ECONNREFUSED' });

t.test(
  'a request that waits for others is told so, one that waits for its connection another time',
  async (t) => {
    const { pool, ask, open, attempts } = setUp({ connections: 2 });
    const own = ask();
    t.equal(own.timeout, 700, 'that of an answer');
    t.equal(own.waiting?.late().code, 'headers_timeout');
    const second = ask();
    t.equal(second.timeout, 700);
    t.equal(attempts.length, 2, 'each has its own');
    const crowded = ask();
    t.equal(attempts.length, 2, 'but no more than there may be');
    t.equal(crowded.timeout, 300, 'that of the queue');
    t.equal(pool.state.turnedAway, 0);
    t.equal(crowded.waiting?.late().code, 'queue_timeout');
    t.match(pool.state, { turnedAway: 1, waiting: 3, open: 0, busy: 0 });
    open();
    open();
    t.match(pool.state, { waiting: 1, open: 2, busy: 2 });
    t.equal(attempts.length, 0);
  },
);

t.test('a connection that ends goes out of the count, whether it was idle or not', async (t) => {
  const { pool, ask, open, answer, attempts } = setUp({ connections: 2 });
  ask();
  const busy = ask();
  const [first, second] = [open(), open()];
  answer(first, OK);
  t.match(pool.state, { open: 2, busy: 1 });
  first.destroy();
  await turn();
  t.match(pool.state, { open: 1, busy: 1 });
  second.destroy();
  await turn();
  t.match(pool.state, { open: 0, busy: 0 });
  t.equal(busy.told, 'started upstream_closed');
  ask();
  t.equal(attempts.length, 1);
});

t.test('an exchange that turns out to last makes room for whoever waits', async (t) => {
  const { pool, ask, open, answer, attempts } = setUp();
  const lasting = ask();
  const socket = open();
  const next = ask();
  t.equal(attempts.length, 0);
  answer(socket, HALF);
  t.equal(lasting.told, 'started long ');
  t.equal(attempts.length, 1);
  t.match(pool.state, { long: 1, busy: 0, waiting: 1 });
  const other = open();
  t.equal(next.told, 'started ');
  answer(socket, 'i');
  t.equal(lasting.told, 'started long ended');
  t.ok(socket.destroyed, 'it would be one more than there may be');
  answer(other, OK);
  await turn();
  t.match(pool.state, { open: 1, long: 0, busy: 0 });
});

t.test('the connection of an exchange that lasted is kept where there is a place for it', async (t) => {
  const { pool, ask, open, answer, attempts } = setUp();
  ask();
  const socket = open();
  answer(socket, HALF);
  answer(socket, 'i');
  t.match(pool.state, { open: 1, long: 0, busy: 0 });
  t.notOk(socket.destroyed);
  t.equal(ask().told, 'started ');
  t.equal(attempts.length, 0);

  const two = setUp({ connections: 2 });
  for (let i = 0; i < 2; i++) two.ask();
  const [long, short] = [two.open(), two.open()];
  two.answer(long, HALF);
  two.ask();
  two.open();
  two.answer(short, OK);
  t.match(two.pool.state, { open: 3, long: 1, busy: 1 });
  two.answer(long, 'i');
  t.ok(long.destroyed, 'an idle one has a place as well');
});

t.test('an exchange that lasts from the beginning has a connection beside the others, or none', async (t) => {
  const { pool, ask, open, answer, attempts } = setUp();
  ask();
  const socket = open();
  const long = ask(true);
  t.equal(attempts.length, 1);
  t.equal(long.timeout, 700);
  t.equal(long.waiting?.late().code, 'headers_timeout');
  t.throws(() => ask(true), { code: 'long_exchanges_full' }, 'while it is being opened');
  const other = open();
  t.equal(long.told, 'started ');
  t.match(pool.state, { open: 2, long: 1, busy: 1, turnedAway: 1 });
  t.throws(() => ask(true), { code: 'long_exchanges_full' });
  answer(other, OK);
  await turn();
  t.equal(long.told, 'started ended');
  t.match(pool.state, { open: 1, long: 0, busy: 1, turnedAway: 2 });
  answer(socket, OK);
  t.equal(ask(true).told, 'started ', 'an idle connection will do');
  t.match(pool.state, { long: 1, busy: 0 });
  t.equal(attempts.length, 0);
});

t.test('a connection for an exchange that lasts may fail, or come when nobody wants it', async (t) => {
  const failing = setUp();
  const asked = failing.ask(true);
  failing.open(failure);
  t.equal(asked.told, 'ECONNREFUSED');
  const left = failing.ask(true);
  left.waiting?.cancel();
  failing.open(failure);
  t.equal(left.told, '', 'who left is told nothing');

  const { pool, ask, open } = setUp();
  const gone = ask(true);
  gone.waiting?.cancel();
  const socket = open();
  t.equal(gone.told, '');
  t.match(pool.state, { open: 1, long: 0, busy: 0 });
  t.equal(ask().told, 'started ', 'the next one has it');
  t.notOk(socket.destroyed);
});

t.test(
  'a connection that is open when the pool is closed is closed; and nothing is sent any more',
  async (t) => {
    const { pool, ask, open } = setUp({ connections: 2 });
    const first = ask();
    const socket = open();
    const waiting = ask();
    pool.close();
    t.equal(first.told, 'started closed');
    t.equal(waiting.told, 'closed');
    t.ok(socket.destroyed);
    t.ok(open().destroyed, 'also one that comes later');
    t.throws(() => ask(), { code: 'closed' });
  },
);

t.test('who left the queue does not get a connection', async (t) => {
  const { pool, ask, open, attempts } = setUp();
  const first = ask();
  first.waiting?.cancel();
  t.equal(pool.state.waiting, 0);
  const next = ask();
  t.equal(attempts.length, 1, 'the one that is on its way will do');
  open();
  t.equal(first.told, '');
  t.equal(next.told, 'started ');
});

t.test('a request is sent a second time, and not a third', async (t) => {
  const { ask, open, answer, attempts } = setUp({ connections: 3 });
  for (let i = 0; i < 3; i++) ask();
  const sockets = [open(), open(), open()];
  for (const socket of sockets) answer(socket, OK);
  const reset = async (socket: PassThrough | undefined): Promise<void> => {
    socket?.destroy(Object.assign(new Error('x'), { code: 'ECONNRESET' }));
    await turn();
  };
  const asked = ask();
  ask();
  await reset(sockets[2]);
  t.equal(attempts.length, 1);
  t.equal(asked.told, 'started ');
  answer(sockets[1] as PassThrough, OK);
  t.equal(asked.told, 'started started ', 'on one that has become free');
  await reset(sockets[1]);
  t.equal(asked.told, 'started started ECONNRESET');
});
