import type { Test } from 'tap';
import { apiRule } from '../gateway.js';
import { until } from '../until.js';
import { startUpstream } from '../upstream.js';
import { sendRaw } from '../wire.js';
import type { Front, StartFront } from './front.js';
import { request, startRawUpstream } from './raw.js';

/**
 * The advisories about libraries on the request's path that concern the gateway and the Fastify plugin alike: what each
 * describes does not happen.
 */
export function testAdvisories(t: Test, start: StartFront): void {
  t.test('CVE-2026-33806 the spelling of Content-Type turns no check off', async (t) => {
    const front = await start(t, { settings: { forward: { maxBodyBytes: 10 } } });
    for (const field of [
      'Content-Type:  application/json',
      'Content-Type:\tapplication/json',
      'Content-Type: application/json\t',
      'Content-Type: application/json ;charset=utf-8',
      'Content-Type: APPLICATION/JSON',
      'Content-Type:',
    ]) {
      const statusOf = async (path: string, body: string): Promise<number | undefined> => {
        const bytes = request(`POST ${path}`, [field, `Content-Length: ${body.length}`], body);
        return (await sendRaw(front.port, bytes)).answers[0]?.status;
      };
      t.equal(await statusOf('/guarded/a', '{}'), 401, field);
      t.equal(await statusOf('/', '{"a":"0123456789"}'), 413, field);
      front.upstream.received.length = 0;
      t.equal(await statusOf('/', '{"a": 1'), 200, field);
      t.equal(front.upstream.received[0]?.body.toString(), '{"a": 1', field);
    }
  });

  t.test('CVE-2026-33805 Connection strips neither the credential nor what scopegate adds', async (t) => {
    const front = await start(t);
    const own = [
      'via',
      'forwarded',
      'x-forwarded-for',
      'x-forwarded-host',
      'x-forwarded-proto',
      'x-request-id',
    ];
    const named = ['authorization', ...own, 'host'];
    for (const fields of [
      [`Connection: ${named.join(', ')}`],
      named.map((name) => `Connection: ${name.toUpperCase()}`),
      [`Connection: close, ${named.join(',')}, content-length`, ...own.map((name) => `${name}: forged`)],
    ]) {
      front.upstream.received.length = 0;
      const all = [...fields, 'Authorization: Bearer good-read', 'Content-Length: 5'];
      const { answers } = await sendRaw(front.port, request('POST /guarded/a', all, 'hello'));
      t.equal(answers[0]?.status, 200);
      const { headers = {}, body } = front.upstream.received[0] ?? {};
      for (const name of named) t.ok(headers[name], name);
      t.equal(headers.authorization, 'Bearer good-read');
      t.equal(headers['x-forwarded-for'], '127.0.0.1');
      t.match(headers['x-request-id'], /^[0-9a-f-]{36}$/);
      t.equal(body?.toString(), 'hello');
    }
  });

  t.test('GHSA-v574-6498-x57v no path leads one upstream’s request to another', async (t) => {
    const ends = [await startUpstream(), await startUpstream(), await startUpstream()];
    t.teardown(() => Promise.all(ends.map((end) => end.close())));
    const names = ['a', 'ab', 'b'];
    const rules = names.map((name) => {
      const service = { name, port: 80 };
      const everything = { path: '/.*', methods: ['GET'], accessStrategies: [{ handler: 'noop' }], service };
      return apiRule(`${name}.example`, [everything], name);
    });
    const front = await start(t, {
      rules: rules.join('\n---\n'),
      settings: { services: Object.fromEntries(names.map((name, i) => [name, ends[i]?.url])) },
    });
    // Keys made by joining an upstream and a path would be the same for some of these.
    const paths = ['/', '/b', '/bb', '/a', '/b/b', '/b.example', '/.example/b'];
    for (const path of [...paths, ...paths]) {
      for (const name of names) {
        const bytes = request(`GET ${path}`, [`X-Of: ${name}`]).replace('gate.example', `${name}.example`);
        await sendRaw(front.port, bytes);
      }
    }
    for (const [i, { received, url }] of ends.entries()) {
      const name = names[i] as string;
      t.equal(received.length, paths.length * 2, name);
      t.ok(
        received.every(({ headers }) => headers['x-of'] === name && `http://${headers.host}` === url),
        `${name}: Host and socket alike`,
      );
    }
  });

  t.test('CVE-2026-1525 a request never leaves with two lengths', async (t) => {
    const front = await start(t);
    for (const fields of [
      ['Content-Length: 5', 'Content-Length: 5'],
      ['Content-Length: 5', 'content-length: 50'],
      ['CONTENT-LENGTH: 0', 'Content-Length: 5'],
      ['Content-Length: 5, 5'],
      ['Content-Length: 5', 'Content_Length: 50'],
      ['Content-Length: 5', 'Transfer-Encoding: chunked'],
    ]) {
      const { answers } = await sendRaw(front.port, request('POST /', fields, 'hello'));
      t.equal(answers[0]?.status, 400, fields.join());
    }
    t.equal(front.upstream.received.length, 0);
    const fields = ['cOnTeNt-LeNgTh: 5', 'Connection: content-length'];
    await sendRaw(front.port, request('POST /', fields, 'hello'));
    const { rawHeaders = [] } = front.upstream.received[0] ?? {};
    const framing = rawHeaders.filter(
      (name, i) => i % 2 === 0 && /^(content-length|transfer-encoding)$/i.test(name),
    );
    t.same(framing, ['content-length']);
  });

  t.test('GHSA-35p6-xmwp-9g52 an answer nobody asked for is nobody’s answer', async (t) => {
    const poison = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison';
    for (const late of [false, true]) {
      const raw = await startRawUpstream(t, (socket, head) => {
        const own = `HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n${head.slice(5, 9)}`;
        if (!head.includes('/bait')) socket.write(own);
        else if (late) socket.write(own, () => setImmediate(() => socket.write(poison)));
        else socket.write(own + poison);
      });
      const { port } = await start(t, { upstreamUrl: raw.url });
      for (let i = 0; i < 5; i++) {
        t.equal((await sendRaw(port, request('GET /bait'))).answers[0]?.body.toString(), 'bait');
        // The poison is read when its connection is given up.
        await until(() => raw.sockets.size === 0);
        t.equal((await sendRaw(port, request('GET /good'))).answers[0]?.body.toString(), 'good');
      }
    }
  });
}

/**
 * CVE-2026-3635: host and protocol are not believed from a peer that is not trusted.
 *
 * @param front trusts other peers than the test
 */
export async function testForgedForwarding(t: Test, front: Front): Promise<void> {
  const forged = [
    'X-Forwarded-Host: other.example',
    'X-Forwarded-Proto: https',
    'X-Forwarded-For: 192.0.2.1',
  ];
  t.equal((await sendRaw(front.port, request('GET /guarded/a', forged))).answers[0]?.status, 401);
  t.equal((await sendRaw(front.port, request('GET /', forged))).answers[0]?.status, 200);
  t.match(front.upstream.received[0]?.headers, {
    'x-forwarded-host': 'gate.example',
    'x-forwarded-proto': 'http',
    'x-forwarded-for': '127.0.0.1',
  });
  const swapped = request('GET /', ['X-Forwarded-Host: gate.example']).replace('Host: gate', 'Host: other');
  const { answers } = await sendRaw(front.port, swapped);
  t.equal(answers[0]?.status, 404, 'nor does it open a rule of another host');
}
