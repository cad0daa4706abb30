import { writeFileSync } from 'node:fs';
import createApp, { type FastifyReply, type FastifyRequest } from 'fastify';
import t from 'tap';
import scopegate from '../../src/fastify/plugin.js';
import { ask } from '../ask.js';
import { apiRule, rule } from '../gateway.js';
import { startTestApp } from './app.js';
import { guarded, show } from './routes-setup.js';

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
    /already registered/,
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
