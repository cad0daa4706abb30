import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { apiRule } from '../gateway.js';
import { FLOORS, reaches } from '../proxy/floors.js';
import { request, startRawUpstream } from '../proxy/raw.js';
import { root } from '../root.js';
import { until } from '../until.js';
import { startUpstream } from '../upstream.js';
import { sendRaw } from '../wire.js';
import { startTestApp } from './app.js';
import { START, saying } from './pitfalls-setup.js';

t.test('CVE-2026-33805 Connection strips neither the credential nor what scopegate adds', async (t) => {
  const app = await startTestApp(t, START);
  const added = ['authorization', 'via', 'forwarded', 'x-forwarded-for', 'x-request-id', 'host'];
  for (const fields of [
    [`Connection: ${added.join(', ')}`],
    added.map((name) => `Connection: ${name.toUpperCase()}`),
    [`Connection: close, ${added.join(',')}, content-length`],
  ]) {
    const { answers } = await sendRaw(
      app.port,
      request(
        'POST /guarded/a',
        [...fields, 'Authorization: Bearer good-read', 'Content-Length: 5'],
        'hello',
      ),
    );
    t.equal(answers[0]?.status, 200);
    const { headers = {}, body } = app.upstream.received.at(-1) ?? {};
    for (const name of added) t.ok(headers[name], name);
    t.equal(body?.toString(), 'hello');
  }
});

t.test('CVE-2026-3635 host and protocol are not believed from a peer that is not trusted', async (t) => {
  for (const server of [{}, { trustProxy: true }]) {
    const app = await startTestApp(t, { ...START, server });
    const forged = [
      'X-Forwarded-Host: gate.example',
      'X-Forwarded-Proto: https',
      'X-Forwarded-For: 192.0.2.1',
    ];
    const bytes = request('GET /', forged).replace('Host: gate', 'Host: other');
    t.equal(
      (await sendRaw(app.port, bytes)).answers[0]?.status,
      404,
      'nor does it open a rule of another host',
    );
    t.equal((await sendRaw(app.port, request('GET /guarded/a', forged))).answers[0]?.status, 401);
  }
});

t.test('CVE-2026-33806 the spelling of Content-Type turns no check off', async (t) => {
  const app = await startTestApp(t, { ...START, settings: { forward: { maxBodyBytes: 10 } } });
  for (const field of [
    'Content-Type:  application/json',
    'Content-Type:\tapplication/json',
    'Content-Type: application/json ;charset=utf-8',
    'Content-Type: APPLICATION/JSON',
    'Content-Type:',
  ]) {
    const statusOf = async (path: string, body: string): Promise<number | undefined> => {
      const bytes = request(`POST ${path}`, [field, `Content-Length: ${body.length}`], body);
      return (await sendRaw(app.port, bytes)).answers[0]?.status;
    };
    t.equal(await statusOf('/guarded/a', '{}'), 401, field);
    t.equal(await statusOf('/', '{"a":"0123456789"}'), 413, field);
    t.equal(await statusOf('/', '{"a": 1'), 200, field);
  }
});

t.test('GHSA-v574-6498-x57v no path leads one upstream’s request to another', async (t) => {
  const ends = [await startUpstream(), await startUpstream(), await startUpstream()];
  t.teardown(() => Promise.all(ends.map((end) => end.close())));
  const names = ['a', 'ab', 'b'];
  const app = await startTestApp(t, {
    upstreams: true,
    rules: names
      .map((name) =>
        apiRule(
          `${name}.example`,
          [
            {
              path: '/.*',
              methods: ['GET'],
              accessStrategies: [{ handler: 'noop' }],
              service: { name, port: 80 },
            },
          ],
          name,
        ),
      )
      .join('\n---\n'),
    settings: { services: Object.fromEntries(names.map((name, i) => [name, ends[i]?.url ?? ''])) },
  });
  const paths = ['/', '/b', '/bb', '/a', '/b/b', '/b.example', '/.example/b'];
  for (const path of [...paths, ...paths]) {
    for (const name of names)
      await sendRaw(
        app.port,
        request(`GET ${path}`, [`X-Of: ${name}`]).replace('gate.example', `${name}.example`),
      );
  }
  for (const [i, { received, url }] of ends.entries()) {
    t.equal(received.length, paths.length * 2, names[i] as string);
    t.ok(
      received.every(({ headers }) => headers['x-of'] === names[i] && `http://${headers.host}` === url),
      'Host and socket alike',
    );
  }
});

t.test('CVE-2026-1525 a request never leaves with two lengths', async (t) => {
  const app = await startTestApp(t, START);
  for (const fields of [
    ['Content-Length: 5', 'Content-Length: 5'],
    ['Content-Length: 5', 'content-length: 50'],
    ['Content-Length: 5, 5'],
    ['Content-Length: 5', 'Content_Length: 50'],
    ['Content-Length: 5', 'Transfer-Encoding: chunked'],
  ]) {
    const { answers } = await sendRaw(app.port, request('POST /', fields, 'hello'));
    t.equal(answers[0]?.status, 400, fields.join());
  }
  t.equal(app.upstream.received.length, 0);
});

t.test('GHSA-35p6-xmwp-9g52 a response nobody asked for is nobody’s response', async (t) => {
  const poison = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison';
  for (const late of [false, true]) {
    const raw = await startRawUpstream(t, (socket, head) => {
      const own = `HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n${head.slice(5, 9)}`;
      if (!head.includes('/bait')) socket.write(own);
      else if (late) socket.write(own, () => setImmediate(() => socket.write(poison)));
      else socket.write(own + poison);
    });
    const { port } = await startTestApp(t, { ...START, upstreamUrl: raw.url });
    for (let i = 0; i < 5; i++) {
      t.equal((await sendRaw(port, request('GET /bait'))).answers[0]?.body.toString(), 'bait');
      await until(() => raw.sockets.size === 0);
      t.equal((await sendRaw(port, request('GET /good'))).answers[0]?.body.toString(), 'good');
    }
  }
});

t.test('Location and repeated fields pass unchanged', async (t) => {
  const { port } = await saying(
    t,
    'HTTP/1.1 302 Found\r\nLocation: /login?next=/\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Name: caf\xc3\xa9\r\n' +
      'Link: </a>\r\nLink: </b>\r\nContent-Length: 0\r\n\r\n',
  );
  const { answers } = await sendRaw(port, request('GET /'));
  const { headers } = answers[0] ?? {};
  t.same(headers?.get('location'), ['/login?next=/']);
  t.same(headers?.get('set-cookie'), ['a=1', 'b=2']);
  t.same(headers?.get('link'), ['</a>', '</b>']);
  t.same(headers?.get('x-name'), ['caf\xc3\xa9'], 'byte for byte');
});

t.test('methods that no rule can have never reach an upstream', async (t) => {
  const app = await startTestApp(t, START);
  for (const method of ['TRACE', 'PROPFIND', 'QUERY', 'get']) {
    const { answers } = await sendRaw(app.port, request(`${method} /`));
    t.ok([400, 404, 405].includes(answers[0]?.status ?? 0), `${method}: ${answers[0]?.status}`);
  }
  t.equal(app.upstream.received.length, 0);
});

t.test('the versions that mend what is known are those that run', (t) => {
  for (const [name, floor] of Object.entries(FLOORS)) {
    const { version } = JSON.parse(readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8'));
    t.ok(reaches(version, floor), `${name} ${version}`);
  }
  t.end();
});
