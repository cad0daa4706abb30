import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { apiRule } from '../gateway.js';
import { type Certificate, makeCertificate } from '../stack/certificate.js';
import { freePort } from '../stack/port.js';
import { until } from '../until.js';
import { open, sendRaw } from '../wire.js';
import { type Front, type StartFront, saying, startTlsUpstream } from './front.js';
import { request } from './raw.js';

/**
 * What the libraries beneath the gateway and beneath the Fastify plugin do by default, and neither may do: each default
 * has its test.
 */
export function testPitfalls(t: Test, start: StartFront): void {
  t.test('certificates of upstreams are verified', async (t) => {
    const right = await makeCertificate(['127.0.0.1']);
    const wrong = await makeCertificate(['other.example']);
    const statusOf = async (certificate: Certificate, tls: object): Promise<number | undefined> => {
      const { url } = await startTlsUpstream(t, certificate);
      const front = await start(t, { upstreamUrl: url, settings: { forward: { tls } } });
      return (await sendRaw(front.port, request('GET /'))).answers[0]?.status;
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
    const answer = 'HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nContent-Length: 5\r\n\r\nhello';
    const { port } = await saying(t, start, answer);
    for (let i = 0; i < 2; i++) {
      const { answers } = await sendRaw(port, request('GET /'));
      t.equal(answers[0]?.body.toString(), 'hello');
      t.notOk(answers[0]?.headers.has('trailer'));
    }
  });

  t.test('a 503 of the upstream is passed on, once', async (t) => {
    const answer = 'HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 5\r\n\r\nhello';
    const { port, raw } = await saying(t, start, answer);
    const { answers } = await sendRaw(port, request('GET /'));
    t.equal(answers[0]?.status, 503);
    t.same(answers[0]?.headers.get('retry-after'), ['1']);
    t.equal(raw.heads.length, 1);
    t.equal(raw.connections(), 1);
  });

  t.test('a client that leaves before the answer cancels the request', async (t) => {
    const front = await start(t, { respond: () => {} });
    await testLeaving(t, front, request('GET /'));
    await testLeaving(t, front, request('POST /', ['Content-Length: 5'], 'hello'));
  });

  t.test('Keep-Alive, Upgrade and Expect of a client break nothing', async (t) => {
    const front = await start(t);
    for (const field of [
      'Keep-Alive: timeout=5',
      'Upgrade: h2c',
      'Expect: 100-continue',
      'TE: gzip',
      'Proxy-Connection: keep-alive',
      'Proxy-Authorization: Basic eA==',
      'Trailer: X',
    ]) {
      const { answers } = await sendRaw(front.port, request('GET /', [field]));
      t.equal(answers[0]?.status, 200, field);
      const name = field.split(':')[0]?.toLowerCase() ?? '';
      t.notOk(name in (front.upstream.received.at(-1)?.headers ?? {}), `${name} ends here`);
    }
  });

  t.test('hop-by-hop fields of the upstream do not reach the client', async (t) => {
    const { port } = await saying(
      t,
      start,
      'HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Secret\r\nX-Secret: 1\r\nKeep-Alive: timeout=1\r\n' +
        'Proxy-Authenticate: Basic\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nhello',
    );
    const { raw } = await sendRaw(port, request('GET /'));
    t.notMatch(raw.toString(), /secret|proxy-auth|upgrade|timeout=1\b/i);
  });

  t.test('304 with a Content-Length is no error, and HEAD keeps its length', async (t) => {
    const unchanged = 'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 1234\r\n\r\n';
    const { port } = await saying(t, start, unchanged);
    for (let i = 0; i < 3; i++) {
      const { answers } = await sendRaw(port, request('GET /', ['If-None-Match: "a"']));
      t.equal(answers[0]?.status, 304);
      t.same(answers[0]?.headers.get('etag'), ['"a"']);
    }
    const head = await saying(t, start, 'HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n');
    const { answers } = await sendRaw(head.port, request('HEAD /'), { methods: ['HEAD'] });
    t.same([answers[0]?.status, answers[0]?.headers.get('content-length')], [200, ['1234']]);
    const empty = await saying(t, start, 'HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n');
    t.match((await sendRaw(empty.port, request('GET /'))).answers[0], { status: 204 });
    const reset = await saying(t, start, 'HTTP/1.1 205 Reset Content\r\nContent-Length: 5\r\n\r\nhello');
    const { answers: cut } = await sendRaw(reset.port, request('GET /'));
    t.same([cut[0]?.status, cut[0]?.body.length], [205, 0], 'R9110 §15.3.6: no content');
  });

  t.test('the limit of bodies holds for streamed ones, too', async (t) => {
    const front = await start(t, { settings: { forward: { maxBodyBytes: 1_000 } } });
    const body = '1'.repeat(5_000);
    for (const type of ['application/json', 'application/octet-stream', 'text/plain']) {
      const chunks = `1388\r\n${body}\r\n0\r\n\r\n`;
      const chunked = request('POST /', [`Content-Type: ${type}`, 'Transfer-Encoding: chunked'], chunks);
      t.equal((await sendRaw(front.port, chunked)).answers[0]?.status, 413, type);
      const sized = request('POST /', [`Content-Type: ${type}`, 'Content-Length: 5000'], body);
      t.equal((await sendRaw(front.port, sized)).answers[0]?.status, 413, type);
    }
    t.notOk(front.upstream.received.some(({ complete }) => complete));
  });

  t.test('errors name the side that failed and nothing inside', async (t) => {
    const broken = await start(t, { upstreamUrl: `http://127.0.0.1:${await freePort()}` });
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
    await until(() => broken.log.some(({ error }) => error !== undefined));
    const line = broken.log.find(({ error }) => error !== undefined);
    t.match(line, { decision: 'allow', error: 'upstream_unreachable', cause: 'ECONNREFUSED' });
    const everything = { path: '/.*', methods: ['GET'], accessStrategies: [{ handler: 'noop' }], timeout: 1 };
    const slow = await start(t, { rules: apiRule('gate.example', [everything]), respond: () => {} });
    t.equal((await sendRaw(slow.port, request('GET /'))).answers[0]?.status, 504);
    await until(() => slow.log.some(({ error }) => error === 'upstream_timeout'));
  });

  t.test('fields that state an identity are scopegate’s own', async (t) => {
    const front = await start(t);
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
    await sendRaw(front.port, request('GET /', forged));
    const { headers, rawHeaders } = front.upstream.received[0] ?? { headers: {}, rawHeaders: [] };
    t.match(headers, {
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-host': 'gate.example',
      'x-forwarded-proto': 'http',
      forwarded: 'for=127.0.0.1;host=gate.example;proto=http',
      via: /^1\.1 scopegate-/,
    });
    t.notMatch(rawHeaders.join(), /6\.6\.6\.6|root|admin|evil/);
  });
}

/**
 * Sends requests on one connection, which the client then leaves: none goes on at the upstream, and each has its audit
 * line.
 *
 * @param front its upstream never answers
 */
export async function testLeaving(t: Test, front: Front, bytes: string): Promise<void> {
  front.upstream.received.length = 0;
  front.log.length = 0;
  const count = bytes.split(' HTTP/1.1').length - 1;
  const client = await open(front.port);
  client.write(bytes);
  await until(() => front.upstream.received.length === count);
  client.destroy();
  await until(() => front.upstream.received.every(({ message }) => message.socket.destroyed));
  await until(() => front.log.length === count);
  t.ok(front.log.every(({ status, cause }) => status === 0 && cause === 'client_closed'));
}

/** Bodies by their Content-Type, which somebody beneath might parse, decode or refuse. */
const BODIES: Readonly<Record<string, Buffer>> = {
  'text/plain': Buffer.alloc(2_000_000, 'caf\xe9', 'latin1'),
  'application/json': Buffer.from('{ "a" : 1.0, "a": 2e0'),
  'application/x-own': Buffer.from('own'),
  'multipart/form-data; boundary=x': Buffer.from('--x--'),
  'application/octet-stream': Buffer.alloc(1_500_000, 7),
  nonsense: Buffer.from('a'),
  '': Buffer.from('b'),
  'a/b/c;;="': Buffer.from('c'),
};

/** Bodies of every type, with and without a length, arrive byte for byte. */
export async function testBodies(t: Test, front: Front): Promise<void> {
  for (const [type, body] of Object.entries(BODIES)) {
    for (const framing of [`Content-Length: ${body.length}`, 'Transfer-Encoding: chunked']) {
      const chunked = framing.startsWith('T');
      const sent = chunked
        ? Buffer.concat([Buffer.from(`${body.length.toString(16)}\r\n`), body, Buffer.from('\r\n0\r\n\r\n')])
        : body;
      const head = request('POST /', [`Content-Type: ${type}`, framing]);
      const { answers } = await sendRaw(front.port, Buffer.concat([Buffer.from(head), sent]));
      t.equal(answers[0]?.status, 200, `${type} ${framing}`);
      const { body: received, headers } = front.upstream.received.at(-1) ?? {};
      t.ok(received?.equals(body));
      t.equal(headers?.['content-type'] ?? '', type);
      // undici frames a body that is whole by its length.
      t.ok([String(body.length), chunked ? undefined : ''].includes(headers?.['content-length']));
    }
  }
}
