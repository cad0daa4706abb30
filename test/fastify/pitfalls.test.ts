import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { apiRule } from '../gateway.js';
import { converse, request, startRawUpstream } from '../proxy/raw.js';
import { type Certificate, makeCertificate } from '../stack/certificate.js';
import { freePort } from '../stack/port.js';
import { until } from '../until.js';
import { open, sendRaw } from '../wire.js';
import { startTestApp } from './app.js';
import { START, saying } from './pitfalls-setup.js';

const HELLO = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello';

t.test('certificates of upstreams are verified', async (t) => {
  const right = await makeCertificate(['127.0.0.1']);
  const wrong = await makeCertificate(['other.example']);
  const statusOf = async ({ cert, key }: Certificate, tls: object): Promise<number | undefined> => {
    const server = createTlsServer({ cert, key, ALPNProtocols: ['h2', 'http/1.1'] }, (_, response) => {
      response.end('secure');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.teardown(() => {
      server.closeAllConnections();
      server.close();
    });
    const upstreamUrl = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const app = await startTestApp(t, { ...START, upstreamUrl, settings: { forward: { tls } } });
    return (await sendRaw(app.port, request('GET /'))).answers[0]?.status;
  };
  const folder = t.testdir({});
  for (const [name, { ca }] of Object.entries({ right, wrong }))
    writeFileSync(join(folder, `${name}.pem`), ca);
  t.equal(await statusOf(right, {}), 502, 'an unknown authority');
  t.equal(await statusOf(wrong, { ca: join(folder, 'wrong.pem') }), 502, 'another name');
  t.equal(await statusOf(right, { ca: join(folder, 'wrong.pem') }), 502, 'another authority');
  t.equal(await statusOf(right, { ca: join(folder, 'right.pem') }), 200);
  t.equal(await statusOf(wrong, { insecureSkipVerify: true }), 200, 'unless the settings say so');
});

t.test('Trailer beside Content-Length does not end the process', async (t) => {
  const { port } = await saying(t, 'HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nContent-Length: 5\r\n\r\nhello');
  for (let i = 0; i < 2; i++) {
    const { answers } = await sendRaw(port, request('GET /'));
    t.equal(answers[0]?.body.toString(), 'hello');
    t.notOk(answers[0]?.headers.has('trailer'));
  }
});

t.test('a 503 of the upstream is passed on, once', async (t) => {
  const { port, raw } = await saying(
    t,
    'HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 5\r\n\r\nhello',
  );
  const { answers } = await sendRaw(port, request('GET /'));
  t.equal(answers[0]?.status, 503);
  t.same(answers[0]?.headers.get('retry-after'), ['1']);
  t.equal(raw.heads.length, 1);
  t.equal(raw.connections(), 1);
});

t.test('a client that leaves before the response cancels the request, in a pipeline as well', async (t) => {
  const app = await startTestApp(t, { ...START, respond: () => {} });
  for (const bytes of [
    request('GET /'),
    request('POST /', ['Content-Length: 5'], 'hello'),
    request('GET /').repeat(4),
  ]) {
    app.upstream.received.length = 0;
    app.log.length = 0;
    const count = bytes.split(' HTTP/1.1').length - 1;
    const client = await open(app.port);
    client.write(bytes);
    await until(() => app.upstream.received.length === count);
    client.destroy();
    await until(() => app.upstream.received.every(({ message }) => message.socket.destroyed));
    await until(() => app.log.length === count);
    t.ok(app.log.every(({ status, cause }) => status === 0 && cause === 'client_closed'));
  }
  t.match(await app.app.scopegate.metrics(), /^scopegate_requests_in_flight 0$/m);
});

t.test('Keep-Alive, Upgrade and Expect of a client break nothing', async (t) => {
  const app = await startTestApp(t, START);
  for (const field of [
    'Keep-Alive: timeout=5',
    'Upgrade: h2c',
    'Expect: 100-continue',
    'TE: gzip',
    'Proxy-Connection: keep-alive',
    'Proxy-Authorization: Basic eA==',
    'Trailer: X',
    'Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
  ]) {
    const { answers } = await sendRaw(app.port, request('GET /', [field]));
    t.equal(answers[0]?.status, 200, field);
    const name = field.split(':')[0]?.toLowerCase() ?? '';
    if (name !== 'connection') t.notOk(name in (app.upstream.received.at(-1)?.headers ?? {}), name);
    t.notOk('upgrade' in (app.upstream.received.at(-1)?.headers ?? {}));
  }
  const unknown = await sendRaw(app.port, request('GET /', ['Expect: magic']));
  t.equal(unknown.answers[0]?.status, 417);
});

t.test('hop-by-hop fields of the upstream do not reach the client', async (t) => {
  const { port } = await saying(
    t,
    'HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Secret\r\nX-Secret: 1\r\nKeep-Alive: timeout=1\r\n' +
      'Proxy-Authenticate: Basic\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nhello',
  );
  const { raw } = await sendRaw(port, request('GET /'));
  t.notMatch(raw.toString(), /secret|proxy-auth|upgrade|timeout=1\b/i);
});

t.test('304 with a Content-Length is no error, and HEAD keeps its length', async (t) => {
  const { port } = await saying(t, 'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 1234\r\n\r\n');
  for (let i = 0; i < 3; i++) {
    const { answers } = await sendRaw(port, request('GET /', ['If-None-Match: "a"']));
    t.equal(answers[0]?.status, 304);
    t.same(answers[0]?.headers.get('etag'), ['"a"']);
  }
  const head = await saying(t, 'HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n');
  const { answers } = await sendRaw(head.port, request('HEAD /'), { methods: ['HEAD'] });
  t.same([answers[0]?.status, answers[0]?.headers.get('content-length')], [200, ['1234']]);
  const empty = await saying(t, 'HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n');
  t.match((await sendRaw(empty.port, request('GET /'))).answers[0], { status: 204 });
  const reset = await saying(t, 'HTTP/1.1 205 Reset Content\r\nContent-Length: 5\r\n\r\nhello');
  const { answers: cut } = await sendRaw(reset.port, request('GET /'));
  t.same([cut[0]?.status, cut[0]?.body.length], [205, 0], 'R9110 §15.3.6: no content');
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
  const bodies: Readonly<Record<string, Buffer>> = {
    'text/plain': Buffer.alloc(2_000_000, 'caf\xe9', 'latin1'),
    'application/json': Buffer.from('{ "a" : 1.0, "a": 2e0'),
    'application/x-own': Buffer.from('own'),
    'multipart/form-data; boundary=x': Buffer.from('--x--'),
    'application/octet-stream': Buffer.alloc(1_500_000, 7),
    nonsense: Buffer.from('a'),
    '': Buffer.from('b'),
    'a/b/c;;="': Buffer.from('c'),
  };
  for (const [type, body] of Object.entries(bodies)) {
    for (const framing of [`Content-Length: ${body.length}`, 'Transfer-Encoding: chunked']) {
      const chunked = framing.startsWith('T');
      const sent = chunked
        ? Buffer.concat([Buffer.from(`${body.length.toString(16)}\r\n`), body, Buffer.from('\r\n0\r\n\r\n')])
        : body;
      const head = request('POST /', [`Content-Type: ${type}`, framing]);
      const { answers } = await sendRaw(app.port, Buffer.concat([Buffer.from(head), sent]));
      t.equal(answers[0]?.status, 200, `${type} ${framing}`);
      const { body: received, headers } = app.upstream.received.at(-1) ?? {};
      t.ok(received?.equals(body));
      t.equal(headers?.['content-type'] ?? '', type);
      // undici frames a body that is whole by its length.
      t.ok([String(body.length), chunked ? undefined : ''].includes(headers?.['content-length']));
    }
  }
  const own = await app.app.inject({ method: 'POST', url: '/own', payload: { a: 1 } });
  t.same(own.json(), { body: { a: 1 } }, 'routes of the application parse as ever');
});

t.test('the limit of bodies holds for streamed ones, too', async (t) => {
  const app = await startTestApp(t, { ...START, settings: { forward: { maxBodyBytes: 1_000 } } });
  for (const type of ['application/json', 'application/octet-stream', 'text/plain']) {
    const chunked = request(
      'POST /',
      [`Content-Type: ${type}`, 'Transfer-Encoding: chunked'],
      `1388\r\n${'1'.repeat(5_000)}\r\n0\r\n\r\n`,
    );
    t.equal((await sendRaw(app.port, chunked)).answers[0]?.status, 413, type);
    const sized = request('POST /', [`Content-Type: ${type}`, 'Content-Length: 5000'], '1'.repeat(5_000));
    t.equal((await sendRaw(app.port, sized)).answers[0]?.status, 413, type);
  }
  t.notOk(app.upstream.received.some(({ complete }) => complete));
});

t.test('errors name the side that failed and nothing inside', async (t) => {
  const broken = await startTestApp(t, { ...START, upstreamUrl: `http://127.0.0.1:${await freePort()}` });
  const { answers } = await sendRaw(broken.port, request('GET /'));
  t.equal(answers[0]?.status, 502);
  t.same(JSON.parse(answers[0]?.body.toString() ?? ''), {
    error: {
      code: 502,
      status: 'Bad Gateway',
      message: 'The gateway cannot reach the upstream',
      reason: 'no connection to the upstream',
    },
  });
  t.match(broken.log.at(-1), { decision: 'allow', error: 'upstream_unreachable', cause: 'ECONNREFUSED' });
  const slow = await startTestApp(t, {
    upstreams: true,
    rules: apiRule('gate.example', [
      { path: '/.*', methods: ['GET'], accessStrategies: [{ handler: 'noop' }], timeout: 1 },
    ]),
    respond: () => {},
  });
  t.equal((await sendRaw(slow.port, request('GET /'))).answers[0]?.status, 504);
  t.match(slow.log.at(-1), { error: 'upstream_timeout' });
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
    const { port } = await saying(t, answer);
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

t.test('fields that state an identity are scopegate’s own', async (t) => {
  const app = await startTestApp(t, START);
  const forged = [
    'X-Forwarded-For: 6.6.6.6',
    'Forwarded: for=6.6.6.6',
    'X-Forwarded-Host: evil.example',
    'X-User: root',
    'X_User: root',
    'X-Scope: admin',
    'X-Request-Id: 6.6.6.6',
    'Remote-User: root',
  ];
  await sendRaw(app.port, request('GET /', forged));
  const { headers, rawHeaders } = app.upstream.received[0] ?? { headers: {}, rawHeaders: [] };
  t.match(headers, {
    'x-forwarded-for': '127.0.0.1',
    'x-forwarded-host': 'gate.example',
    'x-forwarded-proto': 'http',
    forwarded: 'for=127.0.0.1;host=gate.example;proto=http',
    via: /^1\.1 scopegate-/,
  });
  t.notMatch(rawHeaders.join(), /6\.6\.6\.6|root|admin|evil/);
});
