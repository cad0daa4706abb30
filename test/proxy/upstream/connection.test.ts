import t from 'tap';
import { HEAD, IDLE, MAX_HEAD, OK, setUp, WHOLE } from './connection-setup.js';
import { turn } from './fake-time.js';

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

t.test('more than the answer ends the connection with the answer', async (t) => {
  const { send, read, owned, socket, told } = setUp(t);
  send();
  read(`${OK}H`);
  t.same(told(), WHOLE);
  t.ok(socket.destroyed);
  t.equal(owned.free, 0);
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
