import t from 'tap';
import { saying } from '../proxy/front.js';
import { testBodies, testLeaving, testPitfalls } from '../proxy/pitfalls.js';
import { converse, request, startRawUpstream } from '../proxy/raw.js';
import { sendRaw } from '../wire.js';
import { startTestApp } from './app.js';
import { START, start } from './pitfalls-setup.js';

const HELLO = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello';

testPitfalls(t, start);

t.test('a client that leaves in a pipeline cancels all its requests', async (t) => {
  const app = await startTestApp(t, { ...START, respond: () => {} });
  await testLeaving(t, app, request('GET /').repeat(4));
  t.match(await app.app.scopegate.metrics(), /^scopegate_requests_in_flight 0$/m);
});

t.test('a handshake of a client is an ordinary request, and an unknown expectation is refused', async (t) => {
  const app = await start(t);
  const handshake =
    'Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==';
  const { answers } = await sendRaw(app.port, request('GET /', [handshake]));
  t.equal(answers[0]?.status, 200);
  t.notOk('upgrade' in (app.upstream.received[0]?.headers ?? {}));
  const unknown = await sendRaw(app.port, request('GET /', ['Expect: magic']));
  t.equal(unknown.answers[0]?.status, 417);
});

t.test('bodies of every type arrive byte for byte, without the parsers of the application', async (t) => {
  const app = await startTestApp(t, {
    ...START,
    before: (app) => {
      app.addContentTypeParser('application/x-own', { parseAs: 'string' }, (_, _body, done) =>
        done(null, {}),
      );
    },
    after: (app) => {
      app.post('/own', async ({ body }) => ({ body }));
    },
  });
  await testBodies(t, app);
  const own = await app.app.inject({ method: 'POST', url: '/own', payload: { a: 1 } });
  t.same(own.json(), { body: { a: 1 } }, 'routes of the application parse as ever');
});

t.test('an answer that is none is 502, and nothing of it reaches the client', async (t) => {
  for (const answer of [
    'HTTP/1.1 999 Odd\r\nContent-Length: 5\r\n\r\nhello',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello',
    'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: evil\r\n\r\nraw',
    'nonsense\r\n\r\n',
    `HTTP/1.1 200 OK\r\nX: ${'a'.repeat(70_000)}\r\n\r\n`,
    'HTTP/1.1 102 Processing\r\n\r\n'.repeat(40) + HELLO,
  ]) {
    const { port } = await saying(t, start, answer);
    const wrong = await sendRaw(port, request('GET /'));
    t.equal(wrong.answers[0]?.status, 502, answer.slice(0, 60));
    t.notMatch(wrong.raw.toString(), /nonsense|HPE_|UND_ERR|aaaa|127\.0/);
  }
});

t.test('a response that breaks off is seen to break off', async (t) => {
  for (const [head, end] of [
    ['Content-Length: 10\r\n', 'reset'],
    ['Content-Length: 10\r\n', 'end'],
    ['Transfer-Encoding: chunked\r\n', 'end'],
    ['', 'reset'],
  ] as const) {
    const body = head.startsWith('T') ? '5\r\nhello\r\n' : 'hello';
    const raw = await startRawUpstream(t, (socket) =>
      socket.write(`HTTP/1.1 200 OK\r\n${head}\r\n${body}`, () =>
        setTimeout(() => (end === 'end' ? socket.end() : socket.resetAndDestroy()), 50),
      ),
    );
    const app = await startTestApp(t, { ...START, upstreamUrl: raw.url });
    const heard = await converse(app.port, request('GET /'));
    t.match(heard.raw, /hello/, `${head}${end}`);
    t.notMatch(heard.raw, /\r\n0\r\n\r\n$/, `${head}${end}: no last chunk`);
    const old = await converse(app.port, 'GET / HTTP/1.0\r\nHost: gate.example\r\n\r\n');
    t.ok(/content-length: 10/i.test(old.raw) || old.end === 'reset', `${head}${end}: HTTP/1.0 ${old.end}`);
  }
});
