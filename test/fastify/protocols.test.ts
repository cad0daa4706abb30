import { once } from 'node:events';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance, FastifyServerOptions } from 'fastify';
import t, { type Test } from 'tap';
import WebSocket, { WebSocketServer } from 'ws';
import { FORWARD_RULES, request } from '../proxy/raw.js';
import { makeCertificate } from '../stack/certificate.js';
import { until } from '../until.js';
import { sendRaw } from '../wire.js';
import { startTestApp } from './app.js';

// HTTP/2, upgrades, and what they make of a request.

// The application's own, and not the one that is in the plugin's bundle.
const require = createRequire(import.meta.url);
delete require.cache[require.resolve('@fastify/http-proxy')];
const httpProxy = require('@fastify/http-proxy') as typeof import('@fastify/http-proxy').default;

const START = { rules: FORWARD_RULES, upstreams: true };

/** One request of HTTP/2: its status and its body. */
async function stream(client: ClientHttp2Session, fields: Record<string, string>, body?: string) {
  const sent = client.request(fields, { endStream: body === undefined });
  if (body !== undefined) sent.end(body);
  const [head] = (await once(sent, 'response')) as [Record<string, string | number>];
  let text = '';
  for await (const chunk of sent) text += chunk;
  return { status: head[':status'], head, text };
}

t.test('HTTP/2, over TLS and without', async (t) => {
  const { cert, key, ca } = await makeCertificate(['localhost', '127.0.0.1']);
  for (const [scheme, server] of Object.entries({
    https: { http2: true, https: { cert, key } },
    http: { http2: true },
  })) {
    const app = await startTestApp(t, {
      ...START,
      server: server as FastifyServerOptions,
      after: (app) => {
        app.get('/own', { onRequest: app.scopegate.authorize }, async ({ scopegate }) => scopegate?.rule);
      },
    });
    const client = connectHttp2(`${scheme}://127.0.0.1:${app.port}`, { ca });
    t.teardown(() => client.destroy());
    const path = (path: string, more: object = {}) => ({
      ':path': path,
      ':authority': 'gate.example',
      ...more,
    });
    t.match(await stream(client, path('/a?b')), { status: 200, text: '{"path":"/a?b"}' });
    t.match(await stream(client, path('/own')), { status: 200, text: 'default/gate#0' });
    t.match(await stream(client, path('/guarded/a')), { status: 401 });
    const authorization = 'Bearer good-read';
    t.match(await stream(client, path('/guarded/a', { authorization })), { status: 200 });
    t.match(await stream(client, path('/a', { ':method': 'POST' }), 'hello'), { status: 200 });
    t.equal(app.upstream.received.at(-1)?.body.toString(), 'hello');
    t.match(app.upstream.received.at(-1)?.headers, {
      host: app.upstream.url.slice('http://'.length),
      'x-forwarded-host': 'gate.example',
      'x-forwarded-proto': scheme,
      via: /^2\.0 /,
    });
    for (const [target, status] of [
      ['//a', 400],
      ['/%61', 400],
      ['/a/../guarded/a', 400],
    ] as const)
      t.match(await stream(client, path(target)), { status }, target);
    t.match(await stream(client, path('/a', { ':scheme': scheme === 'http' ? 'https' : 'http' })), {
      status: 400,
    });
    const left = client.request(path('/a'));
    left.close(8);
    await once(left, 'close');
    await until(() => app.log.length >= 9);
  }
});

/** An application that proxies WebSockets by itself, behind the hook. */
async function withWebSockets(t: Test, declare: (app: FastifyInstance, upstream: string) => void) {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  t.teardown(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  const upstream = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return startTestApp(t, { ...START, after: (app) => declare(app, upstream) });
}

/** The status that a handshake is answered with. */
function knock(t: Test, port: number, path: string, headers: object = {}): Promise<number> {
  const client = new WebSocket(`ws://127.0.0.1:${port}${path}`, {
    headers: { host: 'gate.example', ...headers },
  });
  t.teardown(() => client.terminate());
  client.on('error', () => {});
  return Promise.race([
    once(client, 'unexpected-response').then(([, { statusCode }]) => statusCode as number),
    once(client, 'open').then(() => 101),
  ]);
}

t.test('the hook decides about WebSockets of the application', async (t) => {
  const app = await withWebSockets(t, (app, upstream) => {
    app.register(async (context) => {
      context.addHook('onRequest', app.scopegate.authorize);
      context.register(httpProxy, { upstream, prefix: '/guarded/ws', websocket: true });
    });
  });
  const authorization = 'Bearer good-read';
  t.equal(await knock(t, app.port, '/guarded/ws'), 401);
  t.equal(await knock(t, app.port, '/guarded/ws', { authorization: 'Bearer good-write' }), 403);
  t.equal(await knock(t, app.port, '/guarded/./ws', { authorization }), 101, 'ws resolves it');
  t.equal(await knock(t, app.port, '/guarded/ws', { authorization }), 101);
  t.equal(await knock(t, app.port, '/a'), 200, 'an upgrade to an upstream is ignored (RFC 9110 §7.8)');
  t.notOk('upgrade' in (app.upstream.received.at(-1)?.headers ?? {}));
  t.equal(await knock(t, app.port, '/guarded/a'), 401);
});

t.test('an upgrade without a listener is a request like any other', async (t) => {
  const app = await startTestApp(t, START);
  const upgrade = [
    'Connection: upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
  ];
  const statusOf = async (start: string, more: string[] = [], body = '') =>
    (await sendRaw(app.port, request(start, [...upgrade, ...more], body))).answers[0]?.status;
  t.equal(await statusOf('GET /a'), 200);
  t.equal(await statusOf('GET /guarded/a'), 401);
  t.equal(await statusOf('GET //a'), 400);
  t.notOk(app.upstream.received.some(({ headers }) => 'upgrade' in headers));
});
