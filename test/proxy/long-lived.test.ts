import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import t from 'tap';
import { type Scope, startTestGateway, type TestGateway } from '../gateway.js';
import { until } from '../until.js';
import { open, sendRaw } from '../wire.js';
import { dawdler, leave } from './aborts.js';
import { FORWARD_RULES, request, startRawUpstream } from './raw.js';

// Each has a gateway of its own and waits most of its time.
t.jobs = 3;

/** A gateway before an upstream whose answers the test writes as it goes. */
async function streaming(
  t: Scope,
  settings: object = {},
): Promise<{ gate: TestGateway; answers: ServerResponse[] }> {
  const answers: ServerResponse[] = [];
  const gate = await startTestGateway(t, {
    rules: FORWARD_RULES,
    settings: settings as Record<string, unknown>,
    respond: (_message, response) => void answers.push(response),
  });
  return { gate, answers };
}

async function listen(
  t: Scope,
  port: number,
  bytes: string,
): Promise<{ socket: Socket; heard: () => string }> {
  const socket = await open(port);
  t.teardown(() => socket.destroy());
  let heard = '';
  socket.setEncoding('latin1').on('data', (text: string) => {
    heard += text;
  });
  socket.write(bytes);
  return { socket, heard: () => heard };
}

t.test(
  'an event stream: its head at once, each event when it comes, its end when the client leaves',
  async (t) => {
    const { gate, answers } = await streaming(t);
    const { socket, heard } = await listen(t, gate.port, request('GET /events'));
    await until(() => answers.length === 1);
    const [stream] = answers as [ServerResponse];
    stream.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
    await until(() => heard().endsWith('\r\n\r\n'));
    t.match(heard(), /^HTTP\/1\.1 200 OK\r\ncontent-type: text\/event-stream\r\n/);
    for (let i = 0; i < 4; i++) {
      stream.write(`data: ${i}\n\n`);
      // Nothing else is sent until this one is there: it waits in no buffer.
      await until(() => heard().includes(`data: ${i}\n\n`));
    }
    socket.destroy();
    await once(stream, 'close');
    t.pass('the upstream’s request is cancelled');
  },
);

/** So much is no machine late by accident: in milliseconds, and as a setting. */
const LIMIT_MS = 1_500;
const LIMIT = `${LIMIT_MS}ms`;

t.test('an event stream outlives every timeout but that of silence', async (t) => {
  const { gate, answers } = await streaming(t, {
    forward: { timeout: LIMIT, idleTimeout: LIMIT },
    server: { headersTimeout: LIMIT, keepAliveTimeout: LIMIT, bodyIdleTimeout: LIMIT },
  });
  const { heard, socket } = await listen(t, gate.port, request('GET /events'));
  const ended = once(socket, 'close');
  await until(() => answers.length === 1);
  const [stream] = answers as [ServerResponse];
  stream.writeHead(200, { 'content-type': 'text/event-stream' });
  const later = performance.now() + LIMIT_MS + 500;
  for (let i = 0; performance.now() < later; i++) {
    stream.write(`data: ${i}\n\n`);
    await until(() => heard().includes(`data: ${i}\n\n`));
  }
  t.pass('after longer than any limit it goes on');
  await ended;
  t.notMatch(heard(), /\r\n0\r\n\r\n$/, 'silence ends it, and not as if it were whole');
});

t.test('a client that leaves, at any moment, cancels its request', async (t) => {
  const { gate, answers } = await streaming(t, { forward: { requestBuffer: 1024 } });
  const gone = async (bytes: string, moment: (socket: Socket) => Promise<unknown>): Promise<void> => {
    answers.length = 0;
    gate.upstream.received.length = 0;
    const { socket } = await listen(t, gate.port, bytes);
    await moment(socket);
    socket.resetAndDestroy();
    await until(() => gate.upstream.received.every(({ message }) => message.socket.destroyed));
  };
  await gone(request('GET /'), () => until(() => answers.length === 1));
  t.pass('while the upstream thinks');
  await gone(request('GET /'), async (socket) => {
    await until(() => answers.length === 1);
    answers[0]?.writeHead(200).write('begun');
    await once(socket, 'data');
  });
  t.pass('in the middle of the answer');
  await gone(request('POST /', ['Content-Length: 10000'], 'a'.repeat(2048)), () =>
    until(() => gate.upstream.received.length === 1),
  );
  t.pass('in the middle of the upload');
  await gone(request('GET /'), async (socket) => {
    await until(() => answers.length === 1);
    socket.pause();
    answers[0]?.writeHead(200).write(Buffer.alloc(20_000_000));
    await once(socket, 'readable');
  });
  t.pass('while it does not read');

  let answer = (): void => {};
  gate.endpoint.gate = new Promise((resolve) => {
    answer = resolve;
  });
  gate.upstream.received.length = 0;
  const { socket } = await listen(
    t,
    gate.port,
    request('GET /guarded/a', ['Authorization: Bearer good-read']),
  );
  await until(() => gate.endpoint.asked.length === 1);
  const before = gate.log.length;
  socket.destroy();
  await until(() => gate.gateway !== undefined && socket.destroyed);
  answer();
  await until(() => gate.log.length > before);
  t.match(gate.log.at(-1), { cause: 'client_closed' });
  t.equal(gate.upstream.received.length, 0, 'while its token is looked up: nothing goes upstream');
});

t.test('a request that waits for a free connection is bounded, and cancelled like any other', async (t) => {
  const raw = await startRawUpstream(t, (socket, head) => {
    if (head.startsWith('GET /quick')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi');
  });
  const gate = await startTestGateway(t, {
    rules: FORWARD_RULES,
    upstreamUrl: raw.url,
    settings: { forward: { connections: 1, timeout: LIMIT } },
  });
  const first = sendRaw(gate.port, request('GET /slow'));
  await until(() => raw.heads.length === 1);
  const second = sendRaw(gate.port, request('GET /waiting'));
  t.equal((await first).answers[0]?.status, 504);
  t.equal((await second).answers[0]?.status, 504, 'the wait counts');
  await until(() => raw.sockets.size === 0);
  t.equal((await sendRaw(gate.port, request('GET /quick'))).answers[0]?.status, 200);

  const busy = sendRaw(gate.port, request('GET /slow'));
  await until(() => raw.heads.filter((head) => head.includes('/slow')).length === 2);
  const leaving = await open(gate.port);
  leaving.write(request('GET /never'));
  await until(() => gate.log.length >= 3);
  leaving.destroy();
  await busy;
  t.equal((await sendRaw(gate.port, request('GET /quick'))).answers[0]?.status, 200);
  t.notOk(
    raw.heads.some((head) => head.includes('/never')),
    'who has left is not served',
  );
});

t.test('hundreds of clients that dawdle do not keep a good one waiting', async (t) => {
  const gate = await startTestGateway(t, {
    rules: FORWARD_RULES,
    settings: {
      server: { headersTimeout: '1s', bodyIdleTimeout: '1s' },
      forward: { connections: 1_000 },
    },
  });
  const slow: Socket[] = [];
  for (let i = 0; i < 100; i++) {
    const [header, body] = await Promise.all([open(gate.port), open(gate.port)]);
    header.resume().write('GET / HTTP/1.1\r\nHost: gate.example\r\nX-Slow: ');
    body.resume().write(request('POST /', ['Content-Length: 1000'], 'a'));
    slow.push(header, body);
  }
  const dawdle = setInterval(() => {
    for (const socket of slow) if (socket.writable) socket.write('a');
  }, 100);
  t.teardown(() => {
    clearInterval(dawdle);
    for (const socket of slow) socket.destroy();
  });
  for (let i = 0; i < 30; i++) {
    t.equal((await sendRaw(gate.port, request('GET /good'))).answers[0]?.status, 200);
  }
  await Promise.all(
    slow.filter((_, i) => i % 2 === 0).map((socket) => socket.closed || once(socket, 'close')),
  );
  t.pass('slow heads are ended, however steadily they drip');
  clearInterval(dawdle);
  await Promise.all(slow.map((socket) => socket.closed || once(socket, 'close')));
  t.pass('and bodies that stall');
});

t.test('hundreds of clients leave at random moments, and nothing stays behind', async (t) => {
  const slow = dawdler(1);
  const gate = await startTestGateway(t, {
    rules: FORWARD_RULES,
    respond: (message, response) =>
      message.url === '/good' ? response.end('good') : slow(message, response),
  });
  await leave(gate.port, 200, 20, 300, 2);
  await until(() => gate.upstream.received.every(({ message }) => message.destroyed));
  t.ok(
    gate.upstream.received.length > 0,
    `${gate.upstream.received.length} of them had reached the upstream`,
  );
  await until(() => gate.upstream.sockets.size === 0);
  t.pass('no connection to the upstream is open');
  t.equal((await sendRaw(gate.port, request('GET /good'))).answers[0]?.body.toString(), 'good');
  const crashes = gate.log.filter(({ msg }) => msg === 'request failed');
  t.same(crashes, []);
});
