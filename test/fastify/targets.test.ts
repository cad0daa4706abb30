import type { FastifyInstance } from 'fastify';
import t from 'tap';
import { frameworkErrors } from '../../src/fastify/plugin.js';
import { apiRule, rule } from '../gateway.js';
import { request } from '../proxy/raw.js';
import { vectors } from '../vectors.js';
import { sendRaw } from '../wire.js';
import { startTestApp, type TestApp } from './app.js';

// Fastify's router reads the target as it came, so a target that is not canonical as it stands is refused.

interface Case {
  readonly id: string;
  readonly method: string;
  readonly target_b64: string;
  readonly note: string;
  readonly must: 'reject' | 'normalize';
  readonly normalized: string | null;
  readonly expect_rule: string | null;
}

const { cases } = vectors('paths') as { cases: Case[] };
const OPEN = { accessStrategies: [{ handler: 'noop' }] };
const RULES = apiRule('gate.example', [
  rule('/.*', ['GET'], 'read'),
  rule('/post', ['POST'], 'write'),
  rule('/admin(/.*)?', ['GET'], 'admin'),
  { path: '/public/.*', methods: ['GET'], ...OPEN },
]);
const TOKENS = { all: { scope: 'read write admin' } };

/** What a raw target is answered with, and what of it came behind the hook. */
async function send(app: TestApp, method: string, target: string, behind: () => string | undefined) {
  const head = Buffer.from(
    `${method} ${target} HTTP/1.1\r\nHost: gate.example\r\nAuthorization: Bearer all\r\nConnection: close\r\n\r\n`,
    'latin1',
  );
  const { answers } = await sendRaw(app.port, head);
  const isOurs = answers[0]?.body.includes('"reason":') === true;
  return { status: answers[0]?.status, seen: behind(), isOurs };
}

for (const mode of ['own routes', 'upstreams'] as const) {
  t.test(`every target of the vectors, ${mode}`, { jobs: 1 }, async (t) => {
    const seen: string[] = [];
    const app = await startTestApp(t, {
      rules: RULES,
      tokens: TOKENS,
      upstreams: mode === 'upstreams',
      server: { frameworkErrors },
      after: (app: FastifyInstance) => {
        if (mode === 'upstreams') return;
        app.addHook('onRequest', app.scopegate.authorize);
        app.all('/*', async ({ url }) => {
          seen.push(url);
          return '';
        });
      },
    });
    let served = 0;
    let ours = 0;
    for (const { id, note, method, target_b64, must, normalized, expect_rule } of cases) {
      const target = Buffer.from(target_b64, 'base64').toString('latin1');
      const got = mode === 'upstreams' ? app.upstream.received.map(({ url }) => url) : seen;
      const before = got.length;
      const {
        status,
        seen: sent,
        isOurs,
      } = await send(app, method, target, () =>
        mode === 'upstreams' ? app.upstream.received.at(-1)?.url : seen.at(-1),
      );
      if (isOurs || status === 200) ours++;
      const name = `${id} ${note}: ${status}`;
      const after = mode === 'upstreams' ? app.upstream.received.length : seen.length;
      const query = target.includes('?') ? target.slice(target.indexOf('?')) : '';
      const canonical = must === 'normalize' && target === `${normalized}${query}`;
      t.equal(after - before, status === 200 ? 1 : 0, `${name}: nothing behind a refusal`);
      if (canonical && (expect_rule === null || expect_rule === 'none')) t.equal(status, 404, name);
      else if (canonical) {
        served++;
        t.equal(status, 200, name);
        t.equal(sent, target, name);
      } else t.equal(status, 400, name);
    }
    t.ok(served > 10, `${served} are canonical`);
    t.equal(app.log.length, ours, 'each leaves its audit line, those that the router refuses as well');
    t.ok(cases.length - ours < cases.length / 5, 'but for what Node’s parser refuses');
  });
}

t.test('no spelling of a guarded path reaches its route by a weaker rule', async (t) => {
  const reached: string[] = [];
  const app = await startTestApp(t, {
    rules: apiRule('gate.example', [
      { path: '/.*', methods: ['GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS'], ...OPEN },
      rule('/admin(/.*)?', ['GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS'], 'admin'),
    ]),
    after: (app) => {
      app.addHook('onRequest', app.scopegate.authorize);
      for (const url of ['/admin', '/admin/', '/admin/users', '/admin/:id/keys']) {
        app.get(url, async (request) => {
          reached.push(request.raw.url ?? '');
          return 'secret';
        });
      }
      app.get('/*', async () => 'open');
    },
  });
  const spellings = [
    '/admin',
    '/admin/',
    '//admin',
    '/./admin',
    '/x/../admin',
    '/%61dmin',
    '/%2561dmin',
    '/admin%2f',
    '/admin%2Fusers',
    '/admin%5cusers',
    '\\admin',
    '/\\admin',
    '/admin\\users',
    '/admin;x',
    '/admin;x/users',
    '/;/admin',
    '/admin/users;v=1',
    '/admin/./users',
    '/admin//users',
    '/admin/%2e/users',
    '/ADMIN',
    '/Admin/users',
    '/admin?x=/public',
    '/admin%3Fx',
    '/admin#x',
    '/admin%23x',
    '/admin%00',
    '/admin%20',
    '/admin%09',
    '/%20/admin',
    '/%EF%BD%81dmin',
    '/admin/%C0%AE%C0%AE/admin',
    '/admin/1/keys',
    '/admin/%31/keys',
    '/admin/a%2Fb/keys',
    'http://gate.example/admin',
    'http://gate.example//admin',
    'http://other.example/admin',
    'HTTP://gate.example/admin',
    'http://x@gate.example/admin',
    'admin',
    '*',
    '?/admin',
  ];
  for (const method of ['GET', 'HEAD', 'OPTIONS', 'POST']) {
    for (const target of spellings) {
      const { answers } = await sendRaw(app.port, request(`${method} ${target}`, ['Connection: close']), {
        methods: [method],
      });
      t.notMatch(answers[0]?.body.toString() ?? '', 'secret', `${method} ${target}: ${answers[0]?.status}`);
    }
  }
  t.same(reached, []);
});

t.test('a rule may allow ";" and "%2F", and then every reading leads to it or is refused', async (t) => {
  const lax = { scopegate: { semicolon: 'keep', encodedSlash: 'keep', encodedPercent: 'keep' } };
  const app = await startTestApp(t, {
    rules: apiRule('gate.example', [
      { path: '/.*', methods: ['GET'], ...OPEN, ...lax },
      rule('/admin(/.*)?', ['GET'], 'admin', lax),
    ]),
    upstreams: true,
  });
  const statusOf = async (target: string) =>
    (await sendRaw(app.port, request(`GET ${target}`))).answers[0]?.status;
  t.equal(await statusOf('/files/a%2Fb'), 200);
  t.equal(app.upstream.received.at(-1)?.url, '/files/a%2Fb');
  t.equal(await statusOf('/a;v=1'), 200);
  for (const target of ['/x%2F..%2Fadmin', '/admin;x', '/x/%252e%252e/admin', '/a%2F..%2Fb', '/;/admin'])
    t.not(await statusOf(target), 200, target);
});

t.test('options with which the router reads more into a path than the rules do', async (t) => {
  for (const server of [
    { caseSensitive: false },
    { routerOptions: { caseSensitive: false } },
    { useSemicolonDelimiter: true },
    { routerOptions: { useSemicolonDelimiter: true } },
  ]) {
    await t.rejects(startTestApp(t, { server }), /must be (true|false) in the application's routerOptions/);
  }
  for (const server of [{ ignoreTrailingSlash: true }, { routerOptions: { ignoreTrailingSlash: true } }]) {
    const app = await startTestApp(t, {
      rules: apiRule('gate.example', [
        { path: '/(?:open|a/).*', methods: ['GET'], ...OPEN },
        rule('/a', ['GET'], 'admin'),
      ]),
      server,
      after: (app) => {
        app.addHook('onRequest', app.scopegate.authorize);
        app.get('/a', async () => 'secret');
        app.get('/open', async () => 'open');
      },
    });
    const get = async (target: string) => (await sendRaw(app.port, request(`GET ${target}`))).answers[0];
    t.equal((await get('/a'))?.status, 400, '/a and /a/ are one route, and two rules');
    t.equal((await get('/a/'))?.status, 400);
    t.equal((await get('/open'))?.status, 200);
    t.equal((await get('/open/'))?.status, 200);
  }
  const app = await startTestApp(t, {
    rules: RULES,
    tokens: TOKENS,
    server: { routerOptions: { ignoreDuplicateSlashes: true } },
    after: (app) => {
      app.addHook('onRequest', app.scopegate.authorize);
      app.get('/admin', async () => 'secret');
    },
  });
  t.equal((await send(app, 'GET', '//admin', () => undefined)).status, 400);
});

t.test('rewriteUrl: rules see what is routed', async (t) => {
  const app = await startTestApp(t, {
    rules: RULES,
    tokens: { reader: { scope: 'read' } },
    upstreams: true,
    server: { rewriteUrl: ({ url = '' }) => url.replace('/alias', '/admin').replace('/twice', '//admin') },
  });
  const get = async (path: string) =>
    (await sendRaw(app.port, request(`GET ${path}`, ['Authorization: Bearer reader']))).answers[0]?.status;
  t.equal(await get('/alias'), 403);
  t.equal(await get('/twice'), 400);
  t.equal(await get('/other'), 200);
});

t.test('the query is forwarded as it came, and is nobody’s path', async (t) => {
  const app = await startTestApp(t, { rules: RULES, upstreams: true });
  for (const query of [
    '?a=1&a=2',
    '?x=1?y=2',
    '?',
    '?&&=',
    '?q=%00%zz',
    '?q="<>{}|',
    '?a[]=1&a[b]=2',
    '?/../admin',
  ])
    t.same(
      [
        (await sendRaw(app.port, request(`GET /public/x${query}`))).answers[0]?.status,
        app.upstream.received.at(-1)?.url,
      ],
      [200, `/public/x${query}`],
    );
  for (const query of ['?a b', '?a#b', '?\x01'])
    t.equal((await sendRaw(app.port, request(`GET /public/x${query}`))).answers[0]?.status, 400, query);
});
