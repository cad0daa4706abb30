import { posix } from 'node:path';
import t, { type Test } from 'tap';
import { makePath } from '../fuzz/paths.js';
import { Random } from '../fuzz/random.js';
import { apiRule, rule, startTestGateway, type TestGateway } from '../gateway.js';
import { sendRaw } from '../wire.js';

/** Sends header lines to the admin port as they are. */
async function put(gate: TestGateway, line: string, ...fields: string[]) {
  const head = [line, ...fields, 'Connection: close', '', ''].join('\r\n');
  const { answers } = await sendRaw(gate.adminPort, Buffer.from(head, 'latin1'));
  const [answer] = answers;
  if (answer === undefined) throw new Error(`no answer to ${line}`);
  const text = answer.body.toString();
  return {
    status: answer.status,
    reason: text === '' ? '' : ((JSON.parse(text) as { error: { reason: string } }).error.reason ?? ''),
    header: (name: string) => answer.headers.get(name)?.join('|'),
    text,
  };
}

type Describe = (method: string, host: string, uri: string) => [line: string, ...fields: string[]];

/** The ways proxies describe a request. */
const FORMS: Readonly<Record<string, Describe>> = {
  'X-Forwarded-*, as Traefik and Caddy do': (method, host, uri) => [
    'GET /decisions HTTP/1.1',
    'Host: 127.0.0.1',
    `X-Forwarded-Method: ${method}`,
    'X-Forwarded-Proto: https',
    `X-Forwarded-Host: ${host}`,
    `X-Forwarded-Uri: ${uri}`,
  ],
  'X-Forwarded-*, with the query left behind': (method, host, uri) => [
    'GET /decisions?q=1 HTTP/1.1',
    'Host: 127.0.0.1',
    `X-Forwarded-Method: ${method}`,
    `X-Forwarded-Host: ${host}`,
    `X-Forwarded-Uri: ${uri}`,
  ],
  'X-Original-URL, as ingress-nginx does': (method, host, uri) => [
    'GET /decisions HTTP/1.0',
    'Host: 127.0.0.1',
    `X-Original-Method: ${method}`,
    `X-Original-URL: https://${host}${uri}`,
  ],
  'X-Original-URI and Host, as nginx does': (method, host, uri) => [
    'GET /decisions HTTP/1.0',
    `Host: ${host}`,
    `X-Original-Method: ${method}`,
    `X-Original-URI: ${uri}`,
  ],
  'its own method and path, as Envoy does': (method, host, uri) => [
    `${method} /decisions${uri} HTTP/1.1`,
    `Host: ${host}`,
    'Content-Length: 0',
    'X-Forwarded-Proto: https',
  ],
};

const BEARER = (token: string) => `Authorization: Bearer ${token}`;

for (const [form, describe] of Object.entries(FORMS)) {
  t.test(`a request described by ${form} is decided like one that comes in`, async (t) => {
    const gate = await startTestGateway(t);
    const table: [method: string, uri: string, token: string | undefined, status: number][] = [
      ['GET', '/headers', 'good-read', 200],
      ['GET', '/headers?q=1', 'good-read', 200],
      ['POST', '/post', 'good-write', 200],
      ['GET', '/headers', undefined, 401],
      ['GET', '/headers', 'unknown', 401],
      ['GET', '/headers', 'good-write', 403],
      ['POST', '/post', 'good-read', 403],
      ['GET', '/admin/x', 'good-read', 403],
      ['GET', '/x/../admin/x', 'good-admin', 400],
      ['GET', '/admin/../headers', 'good-read', 400],
      ['GET', '/admin/%2e%2E/headers', 'good-read', 400],
      ['GET', '/admin/./../headers', 'good-read', 400],
      ['GET', '/headers/.', 'good-read', 400],
      ['GET', '//admin/x', 'good-read', 400],
      ['GET', '//admin/x', 'good-admin', 400],
      ['GET', '/x//admin', 'good-read', 200],
      ['GET', '/%61dmin/x', 'good-admin', 400],
      ['GET', '/caf%c3%a9', 'good-read', 200],
      ['GET', '/headers?a=/../admin', 'good-read', 200],
      ['POST', '/headers', 'good-write', 404],
      ['get', '/headers', 'good-read', 404],
      ['GET', '/a%2Fb', 'good-read', 400],
      ['GET', '/..%2fadmin', 'good-read', 400],
      ['GET', '/a\\b', 'good-read', 400],
    ];
    for (const [method, uri, token, status] of table) {
      if (method === 'get' && form.startsWith('its own')) continue;
      const [line, ...fields] = describe(method, 'gate.example', uri);
      const answer = await put(gate, line, ...fields, ...(token === undefined ? [] : [BEARER(token)]));
      t.equal(answer.status, status, `${method} ${uri} ${token}`);
      if (status === 401) t.match(answer.header('www-authenticate'), /^Bearer realm="scopegate"/);
      if (status === 403) t.match(answer.header('www-authenticate'), /error="insufficient_scope", .*scope="/);
      if (status !== 200) t.match(JSON.parse(answer.text), { error: { code: status, reason: String } });
    }
    const [line, ...fields] = describe('GET', 'other.example', '/headers');
    t.equal((await put(gate, line, ...fields, BEARER('good-read'))).status, 404, 'another host');
    t.equal(gate.upstream.received.length, 0, 'nothing is forwarded');
  });
}

t.test('every way to read a path that a proxy sends on leads to the rule that was decided', async (t) => {
  const gate = await startTestGateway(t, {
    rules: apiRule('gate.example', [
      { path: '/.*', methods: ['GET'], accessStrategies: [{ handler: 'noop' }] },
      rule('/admin(/.*)?', ['GET'], 'admin'),
    ]),
  });
  const random = new Random(4456);
  let allowed = 0;
  for (let i = 0; i < 3_000; i++) {
    const path = makePath(random, 0).replace(/(?<=\/)(?:x|b|files)(?=\/|$)/g, 'admin');
    const { status } = await put(
      gate,
      'GET /decisions HTTP/1.1',
      'Host: 127.0.0.1',
      'X-Forwarded-Method: GET',
      'X-Forwarded-Host: gate.example',
      `X-Forwarded-Uri: ${path}`,
    );
    if (status !== 200) continue;
    allowed++;
    const guarded = waysToRead(path).find((reading) => /^\/admin(?:\/|$)/.test(reading));
    if (guarded !== undefined) t.fail(`${path} is open, and ${guarded} to an upstream`);
  }
  t.ok(allowed > 300, `${allowed} of them are open`);
});

/** A path as it is, and as routers read it that decode, merge slashes or resolve dots, in any order. */
function waysToRead(path: string): string[] {
  const steps = [
    (text: string) => text.replace(/%[2-7][0-9A-F]/gi, (triplet) => decodeURIComponent(triplet)),
    (text: string) => text.replace(/\/{2,}/g, '/'),
    (text: string) => posix.normalize(text),
    (text: string) => new URL(`http://gate.example${text}`).pathname,
  ];
  const ways = new Set([path]);
  for (const way of ways) for (const step of steps) if (ways.size < 64) ways.add(step(way));
  return [...ways];
}

t.test('an allowed request comes with whom it acts for', async (t) => {
  const gate = await startTestGateway(t);
  const [line, ...fields] = (FORMS['its own method and path, as Envoy does'] as Describe)(
    'GET',
    'gate.example',
    '/a',
  );
  const answer = await put(gate, line, ...fields, BEARER('good-read'), 'X-User: root');
  t.equal(answer.status, 200);
  t.equal(answer.text, '');
  t.equal(answer.header('x-user'), 'reader');

  t.equal(answer.header('x-scope'), 'read');
  t.equal(answer.header('x-client-id'), 'c-read');
  t.equal(answer.header('cache-control'), 'no-store');
});

t.test('hostile claims stay inside their field, and every field is always there', async (t) => {
  const gate = await startTestGateway(t, {
    rules: apiRule('gate.example', [
      rule('/a', ['GET'], 'read'),
      { path: '/open', methods: ['GET'], accessStrategies: [{ handler: 'allow' }] },
    ]),
    settings: {
      forward: { fieldEncoding: 'percent' },
      decisions: {
        identity: {
          'X-User': 'sub',
          'X-Scope': 'scope',
          'X-Mail': 'mail',
          'X-Level': 'acr',
          'X-Toast': 'toString',
        },
      },
    },
    tokens: {
      hostile: { scope: 'read', sub: 'a\r\nX-Admin: 1\u0000', mail: 'J\u00fcrgen 100% \ud800', acr: 2 },
      list: { scope: 'read write', sub: ' x ', mail: ['a b', 'c', 7] },
    },
  });
  const ask = (path: string, token: string) =>
    put(gate, `GET /decisions${path} HTTP/1.1`, 'Host: gate.example', BEARER(token), 'X-User: root');
  const hostile = await ask('/a', 'hostile');
  t.equal(hostile.status, 200);
  t.equal(hostile.header('x-user'), 'a%0D%0AX-Admin: 1%00');
  t.equal(hostile.header('x-mail'), 'J%C3%BCrgen 100%25 %EF%BF%BD');
  t.equal(hostile.header('x-level'), '2');
  t.equal(hostile.header('x-toast'), '');
  t.equal(hostile.header('x-admin'), undefined);
  t.equal(hostile.header('x-subject'), undefined, 'only what the settings name');
  const list = await ask('/a', 'list');
  t.equal(list.header('x-user'), '%20x%20');
  t.equal(list.header('x-mail'), 'a%20b c');
  t.equal(list.header('x-scope'), 'read write');
  const open = await ask('/open', 'hostile');
  t.equal(open.status, 200);
  for (const name of ['x-user', 'x-scope', 'x-mail']) t.equal(open.header(name), '', name);
});

t.test('a description that can be read in two ways is refused', async (t) => {
  const gate = await startTestGateway(t);
  const good = {
    'X-Forwarded-Method': 'GET',
    'X-Forwarded-Host': 'gate.example',
    'X-Forwarded-Uri': '/headers',
    Authorization: 'Bearer good-read',
  };
  const lines = (fields: Record<string, string | undefined>) =>
    Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${value}`]));
  const cases: Record<string, string[]> = {
    'no description': ['Host: x', BEARER('good-read')],
    'no method': lines({ ...good, 'X-Forwarded-Method': undefined }),
    'no host': lines({ ...good, 'X-Forwarded-Host': undefined }),
    'no target': lines({ ...good, 'X-Forwarded-Uri': undefined }),
    'an empty method': lines({ ...good, 'X-Forwarded-Method': '' }),
    'two methods in one': lines({ ...good, 'X-Forwarded-Method': 'GET, POST' }),
    'an empty host': lines({ ...good, 'X-Forwarded-Host': '' }),
    'two hosts in one': lines({ ...good, 'X-Forwarded-Host': 'gate.example, other.example' }),
    'a host with userinfo': lines({ ...good, 'X-Forwarded-Host': 'a@gate.example' }),
    'two schemes': lines({ ...good, 'X-Forwarded-Proto': 'https,http' }),
    'an unknown scheme': lines({ ...good, 'X-Forwarded-Proto': 'file' }),
    'a target that is no path': lines({ ...good, 'X-Forwarded-Uri': 'headers' }),
    'a target with another host': lines({ ...good, 'X-Forwarded-Uri': 'http://other.example/' }),
    'a target with a byte outside ASCII': lines({ ...good, 'X-Forwarded-Uri': '/h\u00e9' }),
    ...Object.fromEntries(
      Object.entries(good).map(([name, value]) => [`${name} twice`, [...lines(good), `${name}: ${value}`]]),
    ),
    'nginx and Traefik at once': [...lines(good), 'X-Original-URI: /headers'],
    'an X-Original-Method beside': [...lines(good), 'X-Original-Method: GET'],
  };
  for (const [name, fields] of Object.entries(cases)) {
    const host = fields.some((line) => line.startsWith('Host:')) ? [] : ['Host: x'];
    const answer = await put(gate, 'GET /decisions HTTP/1.1', ...host, ...fields);
    t.equal(answer.status, 400, name);
    t.not(answer.reason, '', `${name}: ${answer.reason}`);
  }
  const own = async (...fields: string[]) =>
    (await put(gate, 'GET /decisions/headers HTTP/1.1', 'Host: gate.example', BEARER('good-read'), ...fields))
      .status;
  t.equal(await own(), 200);
  t.equal(await own('X-Forwarded-Host: gate.example:443'), 200, 'the same host');
  t.equal(await own('X-Forwarded-Host: other.example'), 400);
  t.equal(await own('X-Forwarded-Uri: /headers'), 400, 'a client of Envoy cannot describe another request');
  t.equal(await own('X-Original-URL: http://gate.example/headers'), 400);
  t.equal(await own('Host: other.example'), 400);
  const original = async (...fields: string[]) =>
    (
      await put(
        gate,
        'GET /decisions HTTP/1.1',
        'Host: gate.example',
        BEARER('good-read'),
        'X-Original-Method: GET',
        ...fields,
      )
    ).status;
  t.equal(await original('X-Original-URL: http://gate.example/headers', 'X-Original-URI: /headers'), 200);
  t.equal(await original('X-Original-URL: http://gate.example/headers', 'X-Original-URI: /other'), 400);
  t.equal(
    await original('X-Original-URL: http://gate.example/headers', 'X-Original-Host: other.example'),
    400,
  );
  t.equal(await original('X-Original-URL: //gate.example/headers'), 400);
  t.equal(await original('X-Original-URL: http://gate.example'), 200, 'an empty path is /');
  t.equal(await original('X-Original-URI: /headers', 'X-Original-Host: other.example'), 404);
  t.equal(await original(), 400);
  t.equal(await original('X-Original-URI: *'), 400);
  for (const method of ['TRACE', 'CONNECT']) {
    const told = lines({ ...good, 'X-Forwarded-Method': method });
    t.equal((await put(gate, 'GET /decisions HTTP/1.1', 'Host: x', ...told)).status, 405, method);
  }
  t.equal(
    (
      await put(
        gate,
        'GET /decisions HTTP/1.1',
        'Host: x',
        ...lines({ ...good, 'X-Forwarded-Uri': `/${'a'.repeat(9000)}` }),
      )
    ).status,
    414,
  );
});

t.test('the one way that the settings name is the only one that is read', async (t) => {
  const fields = [
    'X-Forwarded-Method: GET',
    'X-Forwarded-Host: gate.example',
    'X-Forwarded-Uri: /admin',
    'X-Original-Method: POST',
    'X-Original-URL: http://gate.example/post',
    BEARER('good-read'),
  ];
  const paths = { forwarded: '/admin', original: '/post', request: '/own' } as const;
  for (const [describedBy, path] of Object.entries(paths)) {
    const gate = await startTestGateway(t, { settings: { decisions: { describedBy, prefix: '/auth' } } });
    const rest = describedBy === 'request' ? '/own' : '';
    await put(gate, `GET /auth${rest} HTTP/1.1`, 'Host: gate.example', ...fields);
    t.match(gate.log.at(-1), { entrance: 'decisions', path });
    const other = describedBy === 'request' ? '/auth' : '/auth/own';
    t.equal((await put(gate, `GET ${other} HTTP/1.1`, 'Host: gate.example', ...fields)).status, 400, other);
    t.equal((await put(gate, 'GET /decisions HTTP/1.1', 'Host: x')).status, 404, 'the prefix is another one');
  }
});

t.test('peers that are not trusted are not answered, whatever they say', async (t) => {
  const gate = await startTestGateway(t, { settings: { trustedProxies: ['10.0.0.0/8'] } });
  for (const describe of Object.values(FORMS)) {
    const [line, ...fields] = describe('GET', 'gate.example', '/headers');
    const answer = await put(gate, line, ...fields, BEARER('good-read'));
    t.equal(answer.status, 403);
    t.equal(answer.header('x-user'), undefined);
    t.match(answer.reason, /trustedProxies/);
  }
  t.equal(gate.endpoint.asked.length, 0, 'no token of theirs is introspected');
  const trusted = await startTestGateway(t, { settings: { trustedProxies: ['127.0.0.0/8'] } });
  const [line, ...fields] = (FORMS['X-Original-URL, as ingress-nginx does'] as Describe)(
    'GET',
    'gate.example',
    '/',
  );
  t.equal((await put(trusted, line, ...fields, BEARER('good-read'))).status, 200);
});

t.test('a question with a body is answered, and the connection goes on', async (t) => {
  const gate = await startTestGateway(t);
  const one = `POST /decisions/post HTTP/1.1\r\nHost: gate.example\r\n${BEARER('good-write')}\r\nContent-Length: 5\r\n\r\nhello`;
  const { answers } = await sendRaw(gate.adminPort, one + one, { answers: 2 });
  t.same(
    answers.map(({ status }) => status),
    [200, 200],
  );
});

t.test(
  'trouble with the authorization server is 503, and is in the log with the request asked about',
  async (t) => {
    const gate = await startTestGateway(t);
    gate.endpoint.fault = (_message, response) => response.writeHead(500).end();
    const answer = await put(
      gate,
      'GET /decisions/headers HTTP/1.1',
      'Host: gate.example',
      BEARER('good-read'),
    );
    t.equal(answer.status, 503);
    t.match(answer.header('retry-after'), /^\d+$/);
    t.match(gate.log.at(-1), {
      entrance: 'decisions',
      method: 'GET',
      host: 'gate.example',
      path: '/headers',
      rule: 'default/gate#0',
      error: 'authorization_server_unavailable',
      status: 503,
    });
    t.notMatch(JSON.stringify(gate.log), /good-read/);
  },
);

t.test('nothing of the admin port is on the proxy port', async (t: Test) => {
  const gate = await startTestGateway(t);
  for (const path of ['/decisions', '/metrics', '/rules', '/status', '/health/ready']) {
    const { answers } = await sendRaw(gate.port, `GET ${path} HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n`);
    t.equal(answers[0]?.status, 404, path);
  }
});
