import { Readable } from 'node:stream';
import t from 'tap';
import { Interrupted } from '../../../src/proxy/upstream/interrupted.js';
import { HEAD, IDLE, OK, setUp, WHOLE } from './connection-setup.js';
import { turn } from './fake-time.js';

/** The body of a request, as its client sends it. */
class FakeBody extends Readable {
  anyRate = false;
  stopped = false;
  constructor() {
    super({ read() {} });
  }
  allowAnyRate(): void {
    this.anyRate = true;
  }
  override pause(): this {
    this.stopped = true;
    return super.pause();
  }
  override resume(): this {
    this.stopped = false;
    return super.resume();
  }
}

t.test('an answer that lasts is told once; one that is there at once is not', async (t) => {
  const { send, read, told, owned } = setUp(t);
  send();
  read(OK);
  t.equal(owned.lasts, 0);
  send();
  for (const piece of ['HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n', '1', '2', '3', '4']) read(piece);
  t.equal(owned.lasts, 1);
  t.same(told(), [...WHOLE, 'start', 'head 200', 'long', 'data 1', 'data 2', 'data 3', 'data 4', 'end']);
});

t.test('without room for one that lasts a stream is refused, and others have half a second', async (t) => {
  const stream = setUp(t);
  stream.owned.room = false;
  stream.send();
  stream.read('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n');
  t.same(stream.told(), ['start', 'error long_exchanges_full'], 'before its head is passed on');
  t.equal(stream.owned.turnedAway, 1);

  const slow = setUp(t);
  slow.owned.room = false;
  slow.send();
  slow.read(OK.slice(0, -1));
  t.same(await slow.late(499), ['start', 'head 200', 'data h']);
  t.same(await slow.late(1), ['error long_exchanges_full']);
  t.ok(slow.socket.destroyed);
  t.equal(slow.owned.turnedAway, 1);

  const quick = setUp(t);
  quick.owned.room = false;
  quick.send();
  quick.read(OK.slice(0, -1));
  quick.read('i');
  t.same(await quick.late(600), ['start', 'head 200', 'data h', 'data i', 'end']);
  t.equal(quick.owned.turnedAway, 0, 'and its half second is over with it');
});

t.test(
  'a client that may have no more that last is refused in the same way, and the upstream is not full',
  async (t) => {
    const stream = setUp(t);
    stream.reader.share = false;
    stream.send();
    stream.read('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n');
    t.same(stream.told(), ['start', 'error client_share']);
    const slow = setUp(t);
    slow.reader.share = false;
    slow.send();
    slow.read(OK.slice(0, -1));
    t.same(await slow.late(499), ['start', 'head 200', 'data h']);
    t.same(await slow.late(1), ['error client_share']);
    for (const { owned } of [stream, slow]) t.match(owned, { lasts: 0, turnedAway: 0 });
  },
);

t.test('a connection is kept for what the upstream says, less a second, and four at the most', async (t) => {
  for (const [field, kept] of [
    ['', 4_000],
    ['Keep-Alive: timeout=3\r\n', 2_000],
    ['Keep-Alive: timeout=9\r\n', 4_000],
    ['Keep-Alive: timeout=1\r\n', 0],
    ['Connection: close\r\n', 0],
  ] as const) {
    const { send, read, owned, socket, late, told } = setUp(t);
    send();
    read(OK.replace('Content', `${field}Content`));
    t.same(told(), WHOLE, field);
    t.equal(owned.free, kept === 0 ? 0 : 1, field);
    t.equal(socket.destroyed, kept === 0, field);
    if (kept === 0) continue;
    await late(kept - 1);
    t.notOk(socket.destroyed, field);
    t.same(await late(1), [], 'nobody is told');
    t.ok(socket.destroyed, field);
  }
});

t.test('a request is sent again if the upstream left a used connection before a byte', async (t) => {
  for (const [used, request, byte, code, again] of [
    [true, {}, false, 'ECONNRESET', true],
    [true, {}, false, 'EPIPE', true],
    [true, {}, false, 'ETIMEDOUT', false],
    [true, {}, true, 'ECONNRESET', false],
    [false, {}, false, 'ECONNRESET', false],
    [true, { method: 'DELETE' }, false, 'ECONNRESET', false],
  ] as const) {
    const { send, read, told, owned, socket } = setUp(t);
    if (used) {
      send();
      read(OK);
    }
    send(request);
    if (byte) read('H');
    told();
    socket.destroy(Object.assign(new Error('x'), { code }));
    await turn();
    const what = JSON.stringify([used, request, byte, code]);
    t.equal(owned.again, again ? 1 : 0, what);
    t.same(told(), again ? [] : [`error ${code}`], what);
    t.equal(owned.gone, 1, what);
  }
});

t.test('interim answers: 103 is passed on, and 101 is refused where nobody asked for it', async (t) => {
  const { send, read, told } = setUp(t);
  send();
  for (const status of [100, 102, 103]) read(`HTTP/1.1 ${status} X\r\n\r\n`);
  read(OK);
  t.same(told(), ['start', 'early 103', ...WHOLE.slice(1)]);
  send();
  read('HTTP/1.1 101 X\r\n\r\n');
  t.same(told(), ['start', 'error answer_invalid: 101 to a request without Upgrade']);
});

t.test(
  'seventeen interim answers at once are one too many, and each second there may be one more',
  async (t) => {
    for (const [waited, count, allowed] of [
      [0, 16, true],
      [0, 17, false],
      [999, 17, false],
      [1_000, 17, true],
      [1_000, 18, false],
    ] as const) {
      const { send, read, told, time } = setUp(t);
      send({ timeout: 0 });
      time.advance(waited);
      for (let i = 0; i < count; i++) read('HTTP/1.1 102 X\r\n\r\n');
      t.same(
        told(),
        ['start', ...(allowed ? [] : ['error too_many_interim_answers'])],
        `${count}, ${waited}`,
      );
    }
  },
);

t.test('after 101 the bytes are those of the other protocol, and no time is over', async (t) => {
  const upgraded = () => {
    const all = setUp(t);
    const bytes: string[] = [];
    const upgrade = {
      protocol: 'x',
      accept: ({ status }: { status: number }, _socket: unknown, early: Buffer) => {
        bytes.push(`${status} ${early}`);
        return (more: Buffer) => bytes.push(`${more}`);
      },
    };
    all.send({ upgrade });
    return { ...all, bytes };
  };
  const { read, bytes, connection, socket, told, late, owned } = upgraded();
  read('HTTP/1.1 101 X\r\n\r\nearly');
  t.equal(read('HTTP/1.1 200 OK\r\n\r\n'), true);
  t.same(bytes, ['101 early', 'HTTP/1.1 200 OK\r\n\r\n']);
  t.same(await late(100_000), ['start']);
  t.notOk(socket.destroyed);
  t.equal(owned.lasts, 1);
  connection.abort(new Interrupted('closed'));
  t.ok(socket.destroyed);
  await turn();
  t.same(told(), [], 'it is the business of the other protocol');
  t.equal(owned.gone, 1);

  const crowded = upgraded();
  crowded.owned.room = false;
  crowded.read('HTTP/1.1 101 X\r\n\r\n');
  t.same(crowded.told(), ['start', 'error long_exchanges_full']);
  t.same(crowded.bytes, []);
});

t.test('an upload is written as it comes, and must have the length it said', async (t) => {
  for (const [length, pieces, expected, error] of [
    [4, ['12', '34'], '1234', undefined],
    [undefined, ['12', '345'], '2\r\n12\r\n3\r\n345\r\n0\r\n\r\n', undefined],
    [5, ['12', '34'], '1234', 'error upload_cut'],
    [3, ['12', '34'], '1234', 'error upload_cut'],
  ] as const) {
    const { send, socket, told, read } = setUp(t);
    const body = new FakeBody();
    send({ method: 'POST', body: body as never, length });
    for (const piece of [...pieces, null]) body.push(piece);
    await turn();
    await turn();
    t.equal(socket.written, `${HEAD}${expected}`);
    t.same(told(), ['start', ...(error === undefined ? [] : [error])]);
    if (error !== undefined) continue;
    read(OK);
    t.same(told(), WHOLE.slice(1));
    t.ok(body.anyRate);
    t.notOk(socket.destroyed);
  }
});

t.test('a chunk is written with its size at once', async (t) => {
  const { send, socket } = setUp(t);
  const body = new FakeBody();
  send({ method: 'POST', body: body as never });
  body.push('12');
  await turn();
  t.same(socket.batches, ['2\r\n12\r\n']);
});

t.test('an answer before the end of the upload ends the connection with it', async (t) => {
  const { send, read, socket, told } = setUp(t);
  const body = new FakeBody();
  send({ method: 'POST', body: body as never, length: 4 });
  body.push('12');
  await turn();
  read(OK);
  t.same(told(), WHOLE);
  t.ok(socket.destroyed);
  body.push('34');
  body.push(null);
  await turn();
  await turn();
  t.equal(socket.written, `${HEAD}12`);
});

t.test('the time of an answer is not that of its upload, unless the upstream does not take it', async (t) => {
  const uploading = async (full: boolean) => {
    const all = setUp(t);
    const body = new FakeBody();
    all.send({ method: 'POST', body: body as never, length: 4 });
    all.socket.full = full;
    body.push('12');
    await turn();
    t.equal(body.stopped, true, 'each piece is more than this socket takes at once');
    return { ...all, body };
  };
  const refused = await uploading(true);
  t.same(await refused.late(500), ['start', 'error headers_timeout'], 'it takes nothing');

  const taken = await uploading(true);
  taken.socket.takeMore();
  await turn();
  t.equal(taken.body.stopped, false);
  t.same(await taken.late(10_000), ['start'], 'the client takes its time');
  taken.body.push('34');
  taken.body.push(null);
  await turn();
  await turn();
  t.same(await taken.late(499), []);
  t.same(await taken.late(1), ['error headers_timeout'], 'after its end the upstream has as long as is set');
});

t.test('once the answer has begun, the upload keeps it alive', async (t) => {
  const { send, read, late } = setUp(t);
  const body = new FakeBody();
  send({ method: 'POST', body: body as never, length: 9 });
  read('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n');
  for (let i = 0; i < 3; i++) {
    t.same(await late(IDLE - 1), i === 0 ? ['start', 'head 200', 'long'] : []);
    body.push('1');
    await turn();
  }
  t.same(await late(IDLE), ['error body_timeout']);
});
