import { once } from 'node:events';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import createApp, { type FastifyPluginCallback, type FastifyRequest } from 'fastify';
import t from 'tap';
import scopegate from '../../src/fastify/plugin.js';
import { ask } from '../ask.js';
import { apiRule, rule } from '../gateway.js';
import { FORWARD_RULES, request, startRawUpstream } from '../proxy/raw.js';
import { until } from '../until.js';
import { open, parseAnswers, sendRaw } from '../wire.js';
import { startTestApp, type TestAppOptions } from './app.js';

const START: TestAppOptions = { rules: FORWARD_RULES, upstreams: true };

// Requests to upstreams in the life cycle of an application.

const rateLimit: FastifyPluginCallback<{
  max: number;
  timeWindow: number;
  hook?: 'preHandler';
  keyGenerator?: (request: FastifyRequest) => string;
}> = createRequire(import.meta.url)('@fastify/rate-limit');

t.test('routes of the application stand beside the upstreams', async (t) => {
  const app = await startTestApp(t, {
    ...START,
    before: (app) => {
      app.get('/before', async () => 'own');
    },
    after: (app) => {
      app.get('/', async () => 'own root');
      app.get('/after', async () => 'own');
    },
  });
  t.equal((await ask(app, '/before')).text, 'own');
  t.equal((await ask(app, '/after')).text, 'own');
  t.equal((await ask(app, '/')).text, 'own root');
  t.equal((await ask(app, '/else')).text, '{"path":"/else"}');
  t.equal((await ask(app, '/guarded/a')).status, 401);
  t.equal(app.upstream.received.length, 1);
});

t.test('a prefix says which paths go upstream, whole, and not what they become', async (t) => {
  const app = await startTestApp(t, { rules: FORWARD_RULES, upstreams: { prefix: '/api/v1' } });
  for (const path of ['/api/v1', '/api/v1/', '/api/v1/a/b?c']) {
    t.same(JSON.parse((await ask(app, path)).text), { path });
  }
  for (const path of ['/', '/api', '/api/v1a', '/other']) t.equal((await ask(app, path)).status, 404, path);
  for (const prefix of ['api', '/api/', '/:tenant', '/a//b', '/%61', '/*', '/', '/a/../b', '/a/.', '/..']) {
    await t.rejects(startTestApp(t, { ...START, upstreams: { prefix } }), /is not a plain path/, prefix);
  }
  await t.rejects(
    startTestApp(t, { ...START, upstreams: { methods: ['BREW'] } }),
    /"BREW" is not one of GET/,
  );
  const few = await startTestApp(t, { ...START, upstreams: { methods: ['GET'] } });
  t.equal((await ask(few, '/a')).status, 200);
  t.equal((await ask(few, '/a', { method: 'POST' })).status, 404);
});

t.test('in a context with a prefix the paths of rules stay whole', async (t) => {
  const outer = await startTestApp(t, START);
  const app = createApp();
  t.teardown(() => app.close());
  await app.register(
    async (context) => {
      await context.register(scopegate, {
        settings: {
          rules: [join(outer.folder, 'rules.yaml')],
          services: { default: outer.upstream.url },
          introspection: { url: outer.endpoint.url },
          matching: { overlap: 'specific' },
          server: { maxEventLoopDelay: '0s' },
        },
        environment: {},
        upstreams: { prefix: '/up' },
      });
    },
    { prefix: '/outer' },
  );
  const answer = await app.inject({ url: '/outer/up/a?b=c', headers: { host: 'gate.example' } });
  t.same(answer.json(), { path: '/outer/up/a?b=c' });
  t.equal((await app.inject({ url: '/up/a', headers: { host: 'gate.example' } })).statusCode, 404);
});

t.test('hooks of the application see requests and responses, in order', async (t) => {
  const seen: string[] = [];
  const app = await startTestApp(t, {
    ...START,
    before: (app) => {
      app.decorateReply('session', '');
      app.addHook('onRequest', async () => void seen.push('onRequest'));
      app.addHook('preHandler', async ({ scopegate: decision }, reply) => {
        seen.push(`preHandler ${decision?.subject}`);
        reply.header('set-cookie', 'session=1').header('x-own', 'yes');
      });
      app.addHook('onSend', async (_request, reply, payload) => {
        seen.push(`onSend ${reply.statusCode}`);
        return payload;
      });
      app.addHook('onResponse', async ({ scopegate: decision }, reply) => {
        seen.push(`onResponse ${reply.statusCode} ${decision?.allowed} ${decision?.error}`);
      });
    },
    respond: (_message, response) => response.setHeader('set-cookie', 'own=2').end('hello'),
  });
  const allowed = await sendRaw(app.port, request('GET /guarded/a', ['Authorization: Bearer good-read']));
  t.same(allowed.answers[0]?.headers.get('set-cookie'), ['session=1', 'own=2'], 'both set cookies');
  t.same(allowed.answers[0]?.headers.get('x-own'), ['yes']);
  await until(() => seen.length === 4);
  t.same(seen, ['onRequest', 'preHandler reader', 'onSend 200', 'onResponse 200 true undefined']);
  seen.length = 0;
  t.equal((await ask(app, '/guarded/a')).status, 401);
  await until(() => seen.length === 3);
  t.same(seen, ['onRequest', 'onSend 401', 'onResponse 401 false no_token']);
});

t.test('an onSend hook that takes its time does not let a refused request through', async (t) => {
  const app = await startTestApp(t, {
    ...START,
    before: (app) => {
      app.addHook('onSend', async (_request, _reply, payload) => {
        // Other events come first.
        for (let i = 0; i < 3; i++) await new Promise(setImmediate);
        return payload;
      });
    },
    after: (app) => {
      app.get('/own/guarded', { onRequest: app.scopegate.authorize }, async () => t.fail('a route ran'));
    },
    rules: FORWARD_RULES.replace('/guarded/.*', '/(?:own/)?guarded.*'),
  });
  for (const path of ['/guarded/a', '/own/guarded']) t.equal((await ask(app, path)).status, 401, path);
  t.equal(app.upstream.received.length, 0);
});

t.test('a rate limit comes before introspection, and one by subject behind it', async (t) => {
  const app = await startTestApp(t, {
    ...START,
    before: async (app) => {
      await app.register(rateLimit, { max: 2, timeWindow: 60_000 });
    },
  });
  const statuses: number[] = [];
  for (let i = 0; i < 4; i++) statuses.push((await ask(app, '/guarded/a', { token: `bad-${i}` })).status);
  t.same(statuses, [401, 401, 429, 429]);
  t.equal(app.endpoint.asked.length, 2, 'whom the limit refuses, nobody is asked about');

  const bySubject = await startTestApp(t, {
    ...START,
    before: async (app) => {
      await app.register(rateLimit, {
        max: 1,
        timeWindow: 60_000,
        hook: 'preHandler',
        keyGenerator: ({ scopegate: decision }) => decision?.subject ?? '',
      });
    },
    tokens: { one: { scope: 'read', sub: 'one' }, two: { scope: 'read', sub: 'two' } },
  });
  const get = async (token: string) => (await ask(bySubject, '/guarded/a', { token })).status;
  t.same([await get('one'), await get('one'), await get('two')], [200, 429, 200]);
});

t.test('errors of the application’s hooks are the application’s', async (t) => {
  const app = await startTestApp(t, {
    ...START,
    before: (app) => {
      app.setErrorHandler((error: Error, _request, reply) => reply.code(418).send({ own: error.message }));
      app.addHook('preHandler', async () => {
        throw new Error('mine');
      });
    },
  });
  t.match(await ask(app, '/a'), { status: 418, text: '{"own":"mine"}' });
  t.equal(app.upstream.received.length, 0);
  await until(() => app.log.length === 1);
  t.match(app.log[0], { decision: 'allow', status: 418 });
});

t.test('a hook that replaces the body, or the path, ends the request', async (t) => {
  const app = await startTestApp(t, {
    ...START,
    before: (app) => {
      app.addHook('preParsing', async ({ headers }, _reply, payload) =>
        headers['x-turn'] === 'body' ? payload.pipe(new PassThrough()) : payload,
      );
      app.addHook('preHandler', async (request) => {
        if (request.headers['x-turn'] === 'path') request.raw.url = '/guarded/a';
      });
    },
  });
  for (const turn of ['body', 'path']) {
    const { status } = await ask(app, '/a', { method: 'POST', headers: { 'x-turn': turn }, body: 'hello' });
    t.equal(status, 500, turn);
  }
  t.equal(app.upstream.received.length, 0);
});

t.test('mutators change what goes upstream, and the client’s copies stay behind', async (t) => {
  const app = await startTestApp(t, {
    upstreams: true,
    rules: apiRule('gate.example', [
      rule('/a', ['GET'], 'read', {
        mutators: [
          { handler: 'header', config: { headers: { 'X-Own': '{{ print .Subject }}' } } },
          { handler: 'cookie', config: { cookies: { own: '{{ print .Subject }}' } } },
        ],
      }),
      { path: '/b', methods: ['GET'], accessStrategies: [{ handler: 'noop' }] },
    ]),
  });
  const headers = { 'x-own': 'forged', x_own: 'forged', cookie: 'own=forged; kept=1' };
  t.equal((await ask(app, '/a', { token: 'good-read', headers })).status, 200);
  t.match(app.upstream.received[0]?.headers, { 'x-own': 'reader', cookie: 'kept=1; own=reader' });
  t.equal((await ask(app, '/b', { headers })).status, 200);
  t.notMatch(app.upstream.received[1]?.rawHeaders.join(), 'forged');
});

t.test('a token in the query does not go upstream, and the response is private', async (t) => {
  const app = await startTestApp(t, {
    upstreams: true,
    rules: apiRule('gate.example', [
      {
        path: '/.*',
        methods: ['GET'],
        accessStrategies: [
          {
            handler: 'oauth2_introspection',
            config: { required_scope: ['read'], token_sources: [{ query_parameter: 'access_token' }] },
          },
        ],
      },
    ]),
  });
  const answer = await ask(app, '/a?x=1&access_token=good-read&y=2');
  t.equal(answer.text, '{"path":"/a?x=1&y=2"}');
  t.equal(answer.headers['cache-control'], 'private');
});

t.test(
  'an event stream: its head at once, each event when it comes, its end when the client leaves',
  async (t) => {
    const raw = await startRawUpstream(t, (socket) =>
      socket.write(
        'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n',
      ),
    );
    const app = await startTestApp(t, { ...START, upstreamUrl: raw.url });
    const client = await open(app.port);
    let heard = '';
    client.on('data', (data) => {
      heard += data;
    });
    client.write(request('GET /events'));
    await until(() => heard.includes('\r\n\r\n'));
    const [upstream] = raw.sockets;
    upstream?.write('8\r\ndata: a\n\r\n');
    await until(() => heard.includes('data: a'));
    t.match(await app.app.scopegate.metrics(), /scopegate_upstream_connections\{[^}]*state="long"\} 1/);
    client.destroy();
    await until(() => raw.sockets.size === 0);
    await until(() => app.log.length === 1);
    t.match(app.log[0], { status: 200, cause: 'client_closed' });
  },
);

t.test('lasting exchanges take no place of short ones, and both have their bound', async (t) => {
  const held: (() => void)[] = [];
  const app = await startTestApp(t, {
    ...START,
    settings: { forward: { connections: 1, longExchanges: 1, queueTimeout: '200ms' } },
    respond: (message, response) => {
      if (message.url?.startsWith('/events')) {
        response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
      } else if (message.url === '/held') held.push(() => response.end('late'));
      else response.end('fine');
    },
  });
  const stream = await open(app.port);
  stream.write(request('GET /events'));
  await once(stream, 'data');
  t.equal((await ask(app, '/a')).text, 'fine');
  t.match(await ask(app, '/events'), { status: 503, headers: { 'retry-after': '1' } });
  const late = ask(app, '/held');
  await until(() => held.length === 1);
  t.match(await ask(app, '/b'), { status: 503, reason: 'too many requests to this upstream at once' });
  const next = ask(app, '/c');
  held[0]?.();
  t.equal((await late).text, 'late');
  t.equal((await next).text, 'fine', 'who waits gets the place');
  stream.destroy();
  await until(() => app.log.length === 6);
  t.match(await app.app.scopegate.metrics(), /scopegate_upstream_turned_away_total\{[^}]*\} 2/);
});

t.test('an upstream that pauses in a body, and a client that does not read', async (t) => {
  const raw = await startRawUpstream(t, (socket, head) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\nhello');
    if (head.includes('/flood')) socket.write(Buffer.alloc(60_000_000));
  });
  const app = await startTestApp(t, {
    ...START,
    upstreamUrl: raw.url,
    settings: { forward: { idleTimeout: '300ms' } },
  });
  const client = await open(app.port);
  client.write(request('GET /a'));
  client.resume();
  await once(client, 'close');
  await until(() => app.log.length === 1);
  t.match(app.log[0], { status: 200, cause: 'body_timeout' });
  const deaf = await open(app.port);
  deaf.pause();
  deaf.write(request('GET /flood'));
  await until(() => app.log.length === 2);
  t.match(app.log[1], { status: 200, cause: 'client_stalled' });
  deaf.destroy();
  await until(() => raw.sockets.size === 0);
});

t.test('an upload goes on as long as bytes come, after its response has begun', async (t) => {
  let got = '';
  const raw = await startRawUpstream(t, (socket, _head, rest) => {
    got = rest.toString();
    socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n');
    socket.on('data', (chunk) => {
      got += chunk;
      if (got.endsWith('\r\n0\r\n\r\n')) socket.write('4\r\nover\r\n0\r\n\r\n');
    });
  });
  const app = await startTestApp(t, {
    ...START,
    upstreamUrl: raw.url,
    settings: { forward: { idleTimeout: '1s', requestBuffer: 1_024 } },
  });
  const client = await open(app.port);
  let heard = '';
  client.on('data', (data) => {
    heard += data;
  });
  client.write(request('POST /', ['Transfer-Encoding: chunked'], `4b0\r\n${'a'.repeat(1_200)}\r\n`));
  await until(() => heard.includes('begun'));
  const later = performance.now() + 1_100;
  for (let i = 0; performance.now() < later; i++) {
    client.write(`8\r\n${String(i).padStart(8, '0')}\r\n`);
    await until(() => got.includes(String(i).padStart(8, '0')));
  }
  client.write('0\r\n\r\n');
  await until(() => heard.endsWith('0\r\n\r\n'));
  t.match(heard, /over/);
  client.destroy();
});

t.test('a response that comes before the body was read, and what follows is no request', async (t) => {
  const raw = await startRawUpstream(t, (socket) =>
    socket.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno'),
  );
  const app = await startTestApp(t, {
    ...START,
    upstreamUrl: raw.url,
    settings: { forward: { requestBuffer: 1_024 } },
  });
  const client = await open(app.port);
  let heard = '';
  client.on('data', (data) => {
    heard += data;
  });
  client.write(request('POST /', ['Content-Length: 200000'], 'a'.repeat(2_000)));
  const closed = once(client, 'close');
  await until(() => parseAnswers(Buffer.from(heard)).length === 1);
  t.match(heard, /^HTTP\/1\.1 403 /);
  client.write(request('GET /hidden'));
  await closed;
  t.same(
    raw.heads.map((head) => head.split(' ')[1]),
    ['/'],
  );
});
