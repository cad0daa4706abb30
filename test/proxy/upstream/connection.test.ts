import { Duplex, Readable } from 'node:stream';
import t from 'tap';
import type { ResponseReader } from '../../../src/proxy/upstream/client.js';
import { Connection, type Owner } from '../../../src/proxy/upstream/connection.js';
import { Interrupted } from '../../../src/proxy/upstream/interrupted.js';
import type { UpstreamRequest } from '../../../src/proxy/upstream/request-head.js';
import type { Scope } from '../../gateway.js';
import { fakeTime, turn } from './fake-time.js';

const HEAD = 'GET / HTTP/1.1\r\n\r\n';
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi';
const IDLE = 1_000;
const MAX_HEAD = 200;

/** A socket that shows what is written to it, and takes no more while it is full. */
class FakeSocket extends Duplex {
  written = '';
  /** What was written at once. */
  readonly batches: string[] = [];
  full = false;
  resumed = 0;
  #taken: (() => void) | undefined;
  constructor() {
    super({ writableHighWaterMark: 1 });
  }
  override _read(): void {}
  override _write(piece: Buffer, _encoding: string, done: () => void): void {
    this.written += piece.toString('latin1');
    if (this.full) this.#taken = done;
    else done();
  }
  override _writev(pieces: { chunk: Buffer }[], done: () => void): void {
    const batch = Buffer.concat(pieces.map(({ chunk }) => chunk));
    this.batches.push(batch.toString('latin1'));
    this._write(batch, '', done);
  }
  override resume(): this {
    this.resumed++;
    return super.resume();
  }
  takeMore(): void {
    this.full = false;
    this.#taken?.();
  }
}

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

function setUp(t: Scope) {
  const time = fakeTime(t);
  const socket = new FakeSocket();
  const told: string[] = [];
  const owned = { room: true, again: 0, turnedAway: 0, free: 0, gone: 0, lasts: 0 };
  const owner: Owner = {
    again: () => owned.again++,
    lasts: () => {
      owned.lasts++;
      return owned.room;
    },
    turnedAway: () => owned.turnedAway++,
    free: () => owned.free++,
    gone: () => owned.gone++,
  };
  const connection = new Connection(socket as never, { idleTimeout: IDLE, maxHeadBytes: MAX_HEAD }, owner);
  const reader: ResponseReader & { pauses: boolean; share: boolean } = {
    pauses: false,
    share: true,
    mayLast() {
      return this.share;
    },
    onWait: () => {},
    onStart: () => told.push('start'),
    onEarlyHints: ({ status }) => told.push(`early ${status}`),
    onHead: ({ status }) => told.push(`head ${status}`),
    onLong: () => told.push('long'),
    onData(piece: Buffer) {
      told.push(`data ${piece}`);
      return !this.pauses;
    },
    onEnd: (trailers) => told.push(['end', ...trailers].join(' ')),
    onError: (error: Error & { code?: string }) => told.push(`error ${error.code}`),
  };
  return {
    time,
    socket,
    owned,
    connection,
    reader,
    send(request: Partial<UpstreamRequest> = {}): void {
      const get = { method: 'GET', path: '/', fields: [], body: undefined, length: undefined, timeout: 500 };
      connection.send(HEAD, { ...get, ...request }, reader, false);
    },
    read: (text: string): boolean => connection.read(Buffer.from(text, 'latin1')),
    /** What the reader was told since this was asked the last time. */
    told: (): string[] => told.splice(0),
    async late(milliseconds: number): Promise<string[]> {
      time.advance(milliseconds);
      await turn();
      return told.splice(0);
    },
  };
}

const WHOLE = ['start', 'head 200', 'data hi', 'end'];

t.test('bytes that nobody asked for end the connection, be it one', async (t) => {
  const { read, socket } = setUp(t);
  t.equal(read('H'), false);
  t.ok(socket.destroyed);
});

t.test('a head may have as many bytes as is set, and come in 4,097 pieces', async (t) => {
  const begin = 'HTTP/1.1 200 OK\r\nX: ';
  const sized = (size: number) => `${begin.padEnd(size, 'x')}\r\n\r\n`;
  for (const [more, error] of [
    [0, undefined],
    [1, 'error answer_invalid: a head larger than forward.maxResponseHeaderBytes'],
  ] as const) {
    const whole = setUp(t);
    whole.send();
    whole.read(sized(MAX_HEAD + more));
    t.equal(whole.told()[1], error ?? 'head 200', `${more} more, with its end`);
    const cut = setUp(t);
    cut.send();
    cut.read(sized(MAX_HEAD + more).slice(0, MAX_HEAD + more));
    t.same(cut.told(), ['start', ...(error === undefined ? [] : [error])], `${more} more, without its end`);
  }
  for (const [empty, expected] of [
    [4_095, 'head 200'],
    [4_096, 'error answer_invalid: a head in thousands of pieces'],
  ] as const) {
    const { send, read, told } = setUp(t);
    send();
    read(begin);
    for (let i = 0; i < empty; i++) read('');
    read('\r\n\r\n');
    t.equal(told()[1], expected, `${empty} empty pieces`);
  }
  const { send, read, told } = setUp(t);
  send();
  for (const start of ['HTTP/1.1 103 Early Hints\r\n', begin]) {
    read(start);
    for (let i = 0; i < 4_000; i++) read('');
    read('\r\n\r\n'.slice(start.endsWith('\n') ? 2 : 0));
  }
  t.same(told().slice(0, 3), ['start', 'early 103', 'head 200'], 'those of another head do not count');
});

t.test('an answer is read the same in whatever pieces, and the next one after it', async (t) => {
  const { send, read, told, owned, socket } = setUp(t);
  for (let i = 0; i < 2; i++) {
    send();
    for (const byte of OK) t.equal(read(byte), true);
    t.same(told(), ['start', 'head 200', 'long', 'data h', 'data i', 'end']);
    t.equal(owned.free, i + 1);
  }
  t.equal(socket.written, HEAD.repeat(2));
  t.notOk(socket.destroyed);
});

t.test('a request that its method makes one without content has none in its answer', async (t) => {
  const { send, read, told, socket } = setUp(t);
  send({ method: 'HEAD' });
  read('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n');
  t.same(told(), ['start', 'head 200', 'end']);
  t.ok(socket.destroyed, 'and nothing after it');
});

t.test('an answer that begins late, or does not go on, is an error with its reason', async (t) => {
  const begun = setUp(t);
  begun.send();
  t.same(await begun.late(499), ['start']);
  t.same(await begun.late(1), ['error headers_timeout']);
  const half = setUp(t);
  half.send();
  half.read(OK);
  half.send();
  half.read(OK.slice(0, -1));
  half.told();
  t.same(await half.late(IDLE - 1), []);
  t.same(await half.late(1), ['error body_timeout']);
  t.ok(half.socket.destroyed);
  const second = setUp(t);
  second.send();
  second.read(OK);
  second.send();
  second.told();
  t.same(await second.late(500), ['error headers_timeout'], 'the head of the answer before does not count');
});

t.test('a client that pauses stops the upstream, and its pause is no delay of the upstream', async (t) => {
  const { send, read, told, reader, connection, socket, late } = setUp(t);
  send();
  reader.pauses = true;
  t.equal(read('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123'), false);
  t.same(told(), ['start', 'head 200', 'data 123', 'long']);
  t.same(await late(100 * IDLE), []);
  reader.pauses = false;
  const before = socket.resumed;
  connection.resume();
  connection.resume();
  t.equal(socket.resumed, before + 1);
  t.equal(read('456'), true);
  t.same(told(), ['data 456']);
  t.same(await late(IDLE), ['error body_timeout']);

  const again = setUp(t);
  again.send();
  again.reader.pauses = true;
  again.read('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123');
  again.connection.resume();
  again.told();
  t.same(await again.late(IDLE), ['error body_timeout'], 'after the pause it has its time');
});

t.test('a pause at the last piece of an answer does not stop the next one', async (t) => {
  const { send, read, reader, told, socket } = setUp(t);
  send();
  reader.pauses = true;
  const before = socket.resumed;
  t.equal(read(OK), true);
  t.equal(socket.resumed, before + 1);
  reader.pauses = false;
  send();
  t.equal(read(OK.slice(0, -1)), true);
  t.same(told(), [...WHOLE, 'start', 'head 200', 'data h', 'long']);
});

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

t.test('more than the answer ends the connection with the answer', async (t) => {
  const { send, read, owned, socket, told } = setUp(t);
  send();
  read(`${OK}H`);
  t.same(told(), WHOLE);
  t.ok(socket.destroyed);
  t.equal(owned.free, 0);
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

t.test('an answer without a length ends with its connection; one with a length does not', async (t) => {
  for (const [head, expected] of [
    ['HTTP/1.1 200 OK\r\n\r\n', 'end'],
    ['HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n', 'error upstream_closed'],
    ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n', 'error upstream_closed'],
    ['HTTP/1.1 200', 'error upstream_closed'],
  ] as const) {
    const { send, read, socket, told } = setUp(t);
    send();
    read(`${head}`);
    told();
    socket.resume();
    socket.push(null);
    await turn();
    await turn();
    t.same(told(), [expected], head);
    t.ok(socket.destroyed, head);
  }
});
