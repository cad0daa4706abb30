import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import createApp, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import t from 'tap';
import scopegate from '../../src/fastify/plugin.js';
import { ask } from '../ask.js';
import { apiRule, rule } from '../gateway.js';
import { request } from '../proxy/raw.js';
import { until } from '../until.js';
import { open, sendRaw } from '../wire.js';
import { startTestApp } from './app.js';

// The hook on routes of an application's own.

const guarded = (app: FastifyInstance): void => {
  app.addHook('onRequest', app.scopegate.authorize);
};

/** A route that says what it sees of the decision. */
const show = async ({ scopegate }: FastifyRequest): Promise<object> => ({
  allowed: scopegate?.allowed,
  rule: scopegate?.rule,
  subject: scopegate?.subject,
  clientId: scopegate?.clientId,
  scopes: scopegate?.scopes,
});

t.test('a route runs for whom the rule allows, and knows who that is', async (t) => {
  let ran = 0;
  const app = await startTestApp(t, {
    after: (app) => {
      guarded(app);
      app.get('/a', async (request) => {
        ran++;
        return show(request);
      });
    },
  });
  t.same(JSON.parse((await ask(app, '/a', { token: 'good-read' })).text), {
    allowed: true,
    rule: 'default/gate#0',
    subject: 'reader',
    clientId: 'c-read',
    scopes: ['read'],
  });
  const none = await ask(app, '/a');
  t.equal(none.status, 401);
  t.match(none.headers['www-authenticate'], /^Bearer realm="scopegate", scope="read"$/);
  t.match(await ask(app, '/a', { token: 'good-write' }), {
    status: 403,
    headers: { 'www-authenticate': /error="insufficient_scope"/, 'cache-control': 'no-store' },
    reason: 'the token lacks a required scope',
  });
  t.match(await ask(app, '/a', { token: 'bad' }), {
    status: 401,
    headers: { 'www-authenticate': /invalid_token/ },
  });
  t.match(await ask(app, '/a', { token: 'good-read', host: 'other.example' }), { status: 404 });
  t.equal(ran, 1, 'and for nobody else');
  t.same(
    app.log.map(({ entrance, decision, status }) => [entrance, decision, status]),
    [200, 401, 403, 401, 404].map((status) => ['fastify', status === 200 ? 'allow' : 'deny', status]),
  );
});

t.test('the authorization server is down: 503, and no route runs', async (t) => {
  const app = await startTestApp(t, {
    after: (app) => {
      guarded(app);
      app.get('/a', async () => t.fail('a route ran'));
    },
  });
  app.endpoint.fault = (_message, response) => response.writeHead(500).end();
  t.match(await ask(app, '/a', { token: 'good-read' }), { status: 503, headers: { 'retry-after': /^\d+$/ } });
});

t.test('claims are a copy: what a route does to them changes no other request', async (t) => {
  const app = await startTestApp(t, {
    after: (app) => {
      guarded(app);
      app.get('/a', async ({ scopegate }) => {
        const claims = scopegate?.claims as { scope: string };
        const before = claims.scope;
        claims.scope = 'admin';
        (scopegate?.scopes as string[] | undefined)?.push('admin');
        return before;
      });
      app.get('/admin', async () => t.fail('a route ran'));
    },
  });
  for (let i = 0; i < 2; i++) t.equal((await ask(app, '/a', { token: 'good-read' })).text, 'read');
  t.equal((await ask(app, '/admin', { token: 'good-read' })).status, 403);
  t.equal(app.endpoint.asked.length, 1, 'both came from one answer');
});

t.test('the hook on one route leaves the others open; contexts keep to themselves', async (t) => {
  const app = await startTestApp(t, {
    before: (app) => {
      app.get('/before', async ({ scopegate }) => String(scopegate));
      app.register(async (scope) => {
        scope.get('/child-before', async () => 'open');
      });
    },
    after: (app) => {
      app.get('/open', async ({ scopegate }) => String(scopegate));
      app.get('/one', { onRequest: app.scopegate.authorize }, show);
      app.register(async (scope) => {
        scope.addHook('onRequest', app.scopegate.authorize);
        scope.get('/inside', show);
        scope.register(async (inner) => {
          inner.get('/inner', show);
        });
      });
    },
  });
  t.match(await ask(app, '/open'), { status: 200, text: 'null' });
  t.match(await ask(app, '/before'), { status: 200, text: 'null' });
  for (const path of ['/one', '/inside', '/inner']) {
    t.equal((await ask(app, path)).status, 401, path);
    t.equal((await ask(app, path, { token: 'good-read' })).status, 200, path);
  }
});

t.test('a hook on the application guards its routes, those before it, and what is not found', async (t) => {
  const app = await startTestApp(t, {
    before: (app) => {
      app.get('/before', show);
      app.register(async (scope) => {
        scope.get('/child-before', show);
      });
    },
    after: (app) => {
      guarded(app);
      app.register(async (scope) => {
        scope.get('/child-after', show);
      });
    },
  });
  for (const path of ['/before', '/child-before', '/child-after', '/nothing']) {
    t.equal((await ask(app, path)).status, 401, path);
  }
  t.equal((await ask(app, '/nothing', { token: 'good-read' })).status, 404);
});

t.test('two plugins in contexts of their own decide each for itself', async (t) => {
  const first = await startTestApp(t, {
    rules: apiRule('gate.example', [rule('/.*', ['GET'], 'admin')]),
    before: (app) => app.register(async () => {}),
  });
  t.throws(
    () => first.app.register(scopegate, { settings: {} }).after(() => {}),
    /./,
    'a running application takes no more plugins',
  );
  const app = createApp();
  t.teardown(() => app.close());
  const settings = (name: string) => ({
    rules: [`${first.folder}/${name}.yaml`],
    services: { default: first.upstream.url },
    introspection: { url: first.endpoint.url },
    server: { maxEventLoopDelay: '0s' },
  });
  for (const scope of ['read', 'admin']) {
    writeFileSync(`${first.folder}/${scope}.yaml`, apiRule('gate.example', [rule('/.*', ['GET'], scope)]));
    app.register(
      async (context) => {
        await context.register(scopegate, { settings: settings(scope), environment: {} });
        context.addHook('onRequest', context.scopegate.authorize);
        context.get('/a', show);
      },
      { prefix: `/${scope}` },
    );
  }
  const statusOf = async (path: string) =>
    (
      await app.inject({
        url: path,
        headers: { host: 'gate.example', authorization: 'Bearer good-read' },
      })
    ).statusCode;
  t.equal(await statusOf('/read/a'), 200);
  t.equal(await statusOf('/admin/a'), 403);
  const twice = createApp();
  t.teardown(() => twice.close());
  await twice.register(scopegate, { settings: settings('read'), environment: {} });
  await t.rejects(
    async () => twice.register(scopegate, { settings: settings('admin'), environment: {} }),
    /registered here already/,
  );
});

t.test('the hook cannot be called as a function, which would go on where it refuses', async (t) => {
  let ran = 0;
  const app = await startTestApp(t, {
    after: (app) => {
      const call = app.scopegate.authorize as unknown as (
        a: FastifyRequest,
        b: FastifyReply,
      ) => Promise<void>;
      app.get('/a', async (request, reply) => {
        await call(request, reply);
        ran++;
        return 'secret';
      });
      app.addHook('preParsing', app.scopegate.authorize as never);
    },
  });
  const answer = await ask(app, '/a', { token: 'good-read' });
  t.equal(answer.status, 500);
  t.notMatch(answer.text, 'secret');
  t.equal(ran, 0);
});

t.test(
  'a request is decided about once, however many hooks ask, and may not change in between',
  async (t) => {
    const app = await startTestApp(t, {
      after: (app) => {
        guarded(app);
        app.addHook('onRequest', async (request) => {
          const { 'x-turn': turn } = request.headers;
          if (turn === 'url') request.raw.url = '/admin';
          if (turn === 'host') request.raw.headers.host = 'other.example';
          if (turn === 'method') request.raw.method = 'POST';
        });
        app.get('/a', { preHandler: app.scopegate.authorize }, show);
      },
    });
    t.equal((await ask(app, '/a', { token: 'good-read' })).status, 200);
    t.equal(app.log.length, 1, 'one audit line');
    for (const turn of ['url', 'host', 'method']) {
      const { status } = await ask(app, '/a', { token: 'good-read', headers: { 'x-turn': turn } });
      t.equal(status, 500, turn);
    }
  },
);

t.test('HEAD of a GET route needs a rule of its own, and so does OPTIONS', async (t) => {
  const app = await startTestApp(t, {
    rules: apiRule('gate.example', [rule('/.*', ['GET'], 'read'), rule('/both', ['GET', 'HEAD'], 'read')]),
    after: (app) => {
      guarded(app);
      app.get('/a', show);
      app.get('/both', show);
      app.options('/a', async () => t.fail('a route ran'));
    },
  });
  const statusOf = async (method: 'HEAD' | 'OPTIONS', path: string) =>
    (await ask(app, path, { method, token: 'good-read' })).status;
  t.equal(await statusOf('HEAD', '/a'), 404);
  t.equal(await statusOf('HEAD', '/both'), 200);
  t.equal((await ask(app, '/both', { method: 'HEAD' })).status, 401);
  t.equal(await statusOf('OPTIONS', '/a'), 404);
});

t.test('a preflight is answered by the rule’s policy, and its responses get the fields', async (t) => {
  const document = JSON.parse(apiRule('gate.example', [rule('/.*', ['GET'], 'read')])) as { spec: object };
  const app = await startTestApp(t, {
    rules: JSON.stringify({
      ...document,
      spec: {
        ...document.spec,
        corsPolicy: { allowOrigins: [{ exact: 'https://page.example' }], allowMethods: ['GET'] },
      },
    }),
    after: (app) => {
      guarded(app);
      app.get('/a', show);
    },
  });
  const origin = { origin: 'https://page.example' };
  const asked = await ask(app, '/a', {
    method: 'OPTIONS',
    headers: { ...origin, 'access-control-request-method': 'GET' },
  });
  t.match(asked, { status: 204, headers: { 'access-control-allow-origin': 'https://page.example' } });
  for (const token of ['good-read', 'good-write']) {
    const { headers } = await ask(app, '/a', { token, headers: origin });
    t.equal(headers['access-control-allow-origin'], 'https://page.example', token);
  }
});

t.test('two Authorization or Host fields, and other ambiguities, are 400', async (t) => {
  const app = await startTestApp(t, {
    after: (app) => {
      guarded(app);
      app.get('/a', async () => t.fail('a route ran'));
      app.post('/post', async () => t.fail('a route ran'));
    },
  });
  const token = 'Authorization: Bearer good-read';
  for (const fields of [
    [token, 'Authorization: Bearer nobody'],
    [token, 'Host: other.example'],
    [token, 'Author_ization: x', 'Content_Length: 5'],
    [token, 'Cookie_: x', 'Transfer_Encoding: chunked'],
  ]) {
    const { answers, closed } = await sendRaw(app.port, request('GET /a', fields), { answers: 2 });
    t.equal(answers[0]?.status, 400, fields.join());
    t.ok(closed, 'the connection ends');
  }
  t.same(app.endpoint.asked, []);
});

t.test('inject works as a socket does', async (t) => {
  const app = await startTestApp(t, {
    after: (app) => {
      guarded(app);
      app.get('/a', show);
      app.post('/post', async ({ body }) => body);
    },
  });
  const host = 'gate.example';
  const inject = (url: string, headers: object = {}) =>
    app.app.inject({ url, headers: { host, ...headers } });
  t.equal((await inject('/a')).statusCode, 401);
  t.equal((await inject('/a', { authorization: 'Bearer good-read' })).statusCode, 200);
  t.equal((await inject('/a', { authorization: ['Bearer good-read', 'Bearer x'] })).statusCode, 400);
  t.equal((await inject('//a', { authorization: 'Bearer good-read' })).statusCode, 400);
  const posted = await app.app.inject({
    method: 'POST',
    url: '/post',
    headers: { host, authorization: 'Bearer good-write' },
    payload: { a: 1 },
  });
  t.same(posted.json(), { a: 1 }, 'the body is the route’s to parse');
  await until(() => app.log.length === 5);
});

t.test('a token in a form is found, and the route gets the whole form', async (t) => {
  const app = await startTestApp(t, {
    rules: apiRule('gate.example', [
      {
        path: '/form',
        methods: ['POST'],
        accessStrategies: [
          {
            handler: 'oauth2_introspection',
            config: { required_scope: ['write'], token_sources: [{ form_parameter: 'access_token' }] },
          },
        ],
      },
    ]),
    after: (app) => {
      app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_, body, done) =>
        done(null, body),
      );
      guarded(app);
      app.post('/form', async ({ body }) => body);
    },
  });
  const post = (body: string) =>
    ask(app, '/form', {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body,
    });
  t.match(await post('a=1&access_token=good-write'), { status: 200, text: 'a=1&access_token=good-write' });
  t.equal((await post('a=1&access_token=good-read')).status, 403);
  t.equal((await post('a=1')).status, 401);
});

t.test('behind a hook that has read the body a token in it is not seen, and nothing waits', async (t) => {
  const app = await startTestApp(t, {
    rules: apiRule('gate.example', [
      {
        path: '/form',
        methods: ['POST'],
        accessStrategies: [
          {
            handler: 'oauth2_introspection',
            config: { required_scope: ['write'], token_sources: [{ form_parameter: 'access_token' }] },
          },
        ],
      },
    ]),
    after: (app) => {
      app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_, body, done) =>
        done(null, body),
      );
      app.post('/form', { preHandler: app.scopegate.authorize }, async () => t.fail('a route ran'));
    },
  });
  const { status } = await ask(app, '/form', {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: 'access_token=good-write',
  });
  t.equal(status, 401);
});

t.test('mutators say what they would tell an upstream', async (t) => {
  const app = await startTestApp(t, {
    rules: apiRule('gate.example', [
      rule('/.*', ['GET'], 'read', {
        mutators: [
          { handler: 'header', config: { headers: { 'X-User': '{{ print .Subject }}' } } },
          { handler: 'cookie', config: { cookies: { user: '{{ print .Subject }}' } } },
        ],
      }),
    ]),
    after: (app) => {
      guarded(app);
      app.get('/a', async ({ scopegate }) => ({ headers: scopegate?.headers, cookies: scopegate?.cookies }));
    },
  });
  t.same(JSON.parse((await ask(app, '/a', { token: 'good-read' })).text), {
    headers: { 'x-user': 'reader' },
    cookies: { user: 'reader' },
  });
});

t.test('a client that leaves before the decision starts no route', async (t) => {
  const app = await startTestApp(t, {
    after: (app) => {
      guarded(app);
      app.get('/a', async () => t.fail('a route ran'));
    },
  });
  let decide = (): void => {};
  app.endpoint.gate = new Promise((resolve) => {
    decide = resolve;
  });
  const client = await open(app.port);
  client.write(request('GET /a', ['Authorization: Bearer good-read']));
  await until(() => app.endpoint.asked.length === 1);
  client.destroy();
  await new Promise<void>((resolve) =>
    (function look() {
      app.app.server.getConnections((_, count) => (count === 0 ? resolve() : setImmediate(look)));
    })(),
  );
  decide();
  await until(() => app.log.length === 1);
  t.match(app.log[0], { decision: 'allow', status: 0, cause: 'client_closed' });
});

t.test('what follows a refusal that ends the connection is not processed', async (t) => {
  let ran = 0;
  const app = await startTestApp(t, {
    after: (app) => {
      guarded(app);
      app.get('/a', async () => `${++ran}`);
    },
  });
  const good = request('GET /a', ['Authorization: Bearer good-read']);
  const socket = connect(app.port, '127.0.0.1');
  let heard = '';
  socket.on('data', (data) => {
    heard += data;
  });
  socket.write(request('GET //a') + good + good);
  await new Promise((resolve) => socket.once('close', resolve));
  t.match(heard, /^HTTP\/1\.1 400 /);
  t.notMatch(heard, /HTTP\/1\.1 200/);
  t.equal(ran, 0);
});

t.test('through a Unix socket', async (t) => {
  const path = `${t.testdir({})}/s`;
  const app = await startTestApp(t, {
    after: (app) => {
      guarded(app);
      app.get('/a', show);
    },
  });
  await app.app.close();
  const other = createApp();
  t.teardown(() => other.close());
  writeFileSync(`${app.folder}/own.yaml`, apiRule('gate.example', [rule('/.*', ['GET'], 'read')]));
  await other.register(scopegate, {
    environment: {},
    settings: {
      rules: [`${app.folder}/own.yaml`],
      introspection: { url: app.endpoint.url },
      server: { maxEventLoopDelay: '0s' },
    },
  });
  other.addHook('onRequest', other.scopegate.authorize);
  other.get('/a', show);
  await other.listen({ path });
  const socket = connect(path);
  const answer = await new Promise<string>((resolve) => {
    socket.once('data', (data) => resolve(String(data)));
    socket.write(request('GET /a', ['Authorization: Bearer good-read']));
  });
  socket.destroy();
  t.match(answer, /^HTTP\/1\.1 200 /);
});
