import t, { type Test } from 'tap';
import { HOP_BY_HOP, SINGLE_VALUE } from '../../../src/proxy/hop-by-hop.js';
import { ask, type Question } from '../../ask.js';
import { startTestGateway } from '../../gateway.js';
import { startIssuer } from '../../jwks.js';
import { FAULTS, startStore } from '../../store.js';
import { ask as askStream, fields, startTlsGateway } from '../../streams.js';

/** An APIRule of v2 whose rules are guarded by external authorizers. */
const ruleFile = (rules: readonly object[]): string =>
  JSON.stringify({
    apiVersion: 'gateway.kyma-project.io/v2',
    kind: 'APIRule',
    metadata: { name: 'gate', namespace: 'demo' },
    spec: {
      gateway: 'demo/gate',
      hosts: ['gate.example'],
      service: { name: 'upstream', port: 80 },
      rules,
    },
  });

/** A gateway with such rules, and the service that is the authorizer. */
async function start(
  t: Test,
  rules: readonly object[],
  more: (url: string) => object = () => ({}),
  path = '',
) {
  const store = await startStore();
  t.teardown(() => store.close());
  const gate = await startTestGateway(t, {
    rules: ruleFile(rules),
    settings: { kyma: { extAuthorizers: [{ name: 'sso', url: store.url + path, ...more(store.url) }] } },
  });
  const get = (at: string, question: Question = {}) => ask(gate, at, question);
  return { store, gate, get };
}

const guarded = { path: '/in/{**}', methods: ['GET', 'PUT'], extAuth: { authorizers: ['sso'] } };

t.test('an external authorizer is asked with method, path, query and host, and 200 lets in', async (t) => {
  const { store, gate, get } = await start(
    t,
    [guarded, { path: '/out', methods: ['GET'], noAuth: true }],
    () => ({
      includeRequestHeadersInCheck: ['cookie', 'X-Tenant-*', 'x-forwarded-proto'],
      includeAdditionalHeadersInCheck: { 'X-From': 'gate' },
      headersToUpstreamOnAllow: ['X-User', 'X-Mail'],
    }),
    '/check/',
  );
  store.respond = (_message, response) =>
    response.writeHead(200, { 'x-user': 'alice', 'x-other': '1' }).end('ok');
  const answer = await get('/in/a/b?x=1&y=%20', {
    method: 'PUT',
    body: 'secret',
    headers: {
      authorization: 'Basic YTpi',
      cookie: 'a=1',
      'x-tenant-id': '7',
      'x-forwarded-proto': 'https',
      'x-private': 'p',
      'x-user': 'root',
      'x-mail': 'root@example.com',
    },
  });
  t.equal(answer.status, 200);
  const [{ message, body }] = store.calls as [(typeof store.calls)[number]];
  t.match(message, { method: 'PUT', url: '/check/in/a/b?x=1&y=%20' });
  t.equal(body, '', 'without the body');
  t.match(message.headers, {
    host: 'gate.example',
    'content-length': '0',
    authorization: 'Basic YTpi',
    cookie: 'a=1',
    'x-tenant-id': '7',
    'x-from': 'gate',
    'x-forwarded-host': 'gate.example',
  });
  t.notOk('x-private' in message.headers);
  t.notOk('x-forwarded-proto' in message.headers, 'a client does not say how it came');
  const received = gate.upstream.received[0];
  t.equal(received?.headers['x-user'], 'alice');
  t.notOk('x-mail' in (received?.headers ?? {}), 'a client does not say what the authorizer says');
  t.notOk('x-other' in (received?.headers ?? {}));
  t.equal((await get('/out', { headers: { 'x-user': 'root' } })).status, 200);
  t.notOk('x-user' in (gate.upstream.received.at(-1)?.headers ?? {}), 'on no other rule either');
  t.equal(store.calls.length, 1);
});

t.test('what the authorizer says in UTF-8 reaches the upstream in the same octets', async (t) => {
  const { store, gate, get } = await start(t, [guarded], () => ({ headersToUpstreamOnAllow: ['X-User'] }));
  const octets = Buffer.from('\u0141ukasz').toString('latin1');
  store.respond = (_message, response) => response.writeHead(200, { 'X-User': octets }).end();
  t.equal((await get('/in/a')).status, 200);
  t.equal(gate.upstream.received.at(-1)?.headers['x-user'], octets);
});

t.test('no field of the client describes another request to the authorizer, in no spelling', async (t) => {
  const { store, get } = await start(t, [guarded], () => ({
    includeRequestHeadersInCheck: ['x-*', '*-url'],
  }));
  store.respond = (_message, response) => response.writeHead(200).end();
  const describing = [
    'X-Forwarded-Uri',
    'X-Forwarded-Proto',
    'X-Original-Url',
    'X-Rewrite-Url',
    'X-Envoy-Original-Path',
  ];
  describing.push('X-Real-Ip', 'X-Http-Method-Override', 'X-Method-Override');
  const spellings = describing.flatMap((name) => {
    const [first = '', ...rest] = name.split('-');
    return ['-', '_', '.', '~'].map((separator) => `${first}-${rest.join(separator)}`);
  });
  const headers = Object.fromEntries(spellings.map((name) => [name, 'client']));
  await get('/in/a', { headers: { ...headers, 'x-tenant': '7', 'x-api-key': 'k' } });
  const told = store.calls[0]?.message.headers ?? {};
  t.match(told, { 'x-tenant': '7', 'x-api-key': 'k' });
  t.same(
    Object.keys(told).filter((name) => told[name] === 'client'),
    [],
  );
});

t.test('any other answer below 500 is the client’s, with its status, fields and body', async (t) => {
  const { store, gate, get } = await start(t, [guarded]);
  store.respond = (_message, response) =>
    response
      .writeHead(302, [
        ...['Location', 'https://login.example/?rd=%2Fin'],
        ...['Set-Cookie', 'csrf=1; HttpOnly', 'Set-Cookie', 'b=2'],
        ...['Content-Type', 'text/html', 'X-Why', 'login', 'Access-Control-Allow-Origin', '*'],
      ])
      .end('<a>');
  const answer = await get('/in/x');
  t.equal(answer.status, 302);
  t.equal(answer.text, '<a>');
  t.match(answer.headers, {
    location: 'https://login.example/?rd=%2Fin',
    'content-type': 'text/html',
    'set-cookie': ['csrf=1; HttpOnly', 'b=2'],
    'x-why': 'login',
    'cache-control': 'no-store',
  });
  t.notOk('access-control-allow-origin' in answer.headers, 'the rule’s own policy says that');
  for (const status of [400, 401, 403, 404, 408, 418, 429]) {
    store.respond = (_message, response) => response.writeHead(status, { 'retry-after': '5' }).end('no');
    const denied = await get('/in/x');
    t.equal(denied.status, status);
    t.equal(denied.text, 'no');
  }
  for (const status of [201, 204, 304]) {
    store.respond = (_message, response) => response.writeHead(status).end();
    t.equal((await get('/in/x')).status, 403, `${status} is no 200`);
  }
  t.equal(gate.upstream.received.length, 0);
  t.match(
    gate.log.findLast(({ decision }) => decision === 'deny'),
    { error: 'access_denied', rule: 'demo/gate#0' },
  );
});

t.test(
  'over HTTP/2 too, whatever fields the authorizer repeats or sends for its own connection',
  async (t) => {
    const store = await startStore();
    t.teardown(() => store.close());
    const settings = { kyma: { extAuthorizers: [{ name: 'sso', url: store.url }] } };
    const tls = await startTlsGateway(t, { rules: ruleFile([guarded]), settings });
    // An application and the proxy before it often set such a field both.
    for (const name of [...SINGLE_VALUE, ...HOP_BY_HOP, 'x-named', 'www-authenticate', 'vary']) {
      if (name === 'content-length' || name === 'transfer-encoding') continue;
      store.respond = (_message, response) =>
        response
          .writeHead(403, [...[name, 'one', name, 'two'], ...['Connection', 'x-named'], 'X-Why', 'no'])
          .end('denied');
      const answer = await askStream(await tls.session(), fields({ ':path': '/in/x' }));
      t.equal(answer.status, 403, name);
      t.equal(answer.body.toString(), 'denied', name);
      t.equal(answer.headers['x-why'], 'no');
      t.notOk('x-named' in answer.headers, 'what Connection names belongs to the authorizer’s connection');
    }
    t.equal(tls.log.filter(({ place }) => place === 'request').length, 0, 'nothing failed inside');
  },
);

t.test('only the listed fields of a denial reach the client, where some are listed', async (t) => {
  const { store, get } = await start(t, [guarded], () => ({ headersToDownstreamOnDeny: ['set-*'] }));
  store.respond = (_message, response) =>
    response.writeHead(401, { 'www-authenticate': 'Basic', 'set-cookie': 'a=1', 'x-why': 'x' }).end();
  const { headers } = await get('/in/x');
  t.match(headers, { 'www-authenticate': 'Basic', 'set-cookie': 'a=1' });
  t.notOk('x-why' in headers);
});

t.test('an authorizer that fails is answered 503', async (t) => {
  const { store, gate, get } = await start(t, [guarded]);
  for (const name of ['500', 'a cut connection', 'not UTF-8']) {
    store.respond = FAULTS[name] as typeof store.respond;
    const answer = await get('/in/x');
    t.equal(answer.status, 503, name);
    t.ok(Number(answer.headers['retry-after']) >= 1);
  }
  t.equal(gate.upstream.received.length, 0);
});

t.test('restrictions are the rule’s own: a token that meets them is asked about, no other', async (t) => {
  const issuer = await startIssuer(() => Date.now() / 1000);
  t.teardown(() => issuer.close());
  const key = await issuer.makeKey('k1');
  const restrictions = {
    authentications: [{ issuer: 'https://as.example', jwksUri: issuer.url }],
    authorizations: [{ requiredScopes: ['read'] }],
  };
  const { store, get } = await start(t, [{ ...guarded, extAuth: { authorizers: ['sso'], restrictions } }]);
  const token = (scope: string) => issuer.sign(key, 'k1', { iss: 'https://as.example', scope });
  store.respond = (_message, response) => response.writeHead(200).end();
  t.equal((await get('/in/x')).status, 401);
  t.equal((await get('/in/x', { token: await token('write') })).status, 403);
  t.equal(store.calls.length, 0);
  t.equal((await get('/in/x', { token: await token('read') })).status, 200);
  t.equal(store.calls.length, 1);
  store.respond = (_message, response) => response.writeHead(403).end();
  t.equal((await get('/in/x', { token: await token('read') })).status, 403);
});

t.test('several authorizers must all allow, in order, and forward-auth asks them too', async (t) => {
  const rule = { ...guarded, extAuth: { authorizers: ['sso', 'sso'] } };
  const { store, gate, get } = await start(t, [rule], () => ({ headersToUpstreamOnAllow: ['x-user'] }));
  let left = 1;
  store.respond = (_message, response) =>
    response.writeHead(left-- > 0 ? 200 : 403, { 'x-user': 'u' }).end('why');
  t.equal((await get('/in/x')).status, 403);
  t.equal(store.calls.length, 2);
  const decide = () =>
    ask({ url: gate.adminUrl }, '/decisions', {
      headers: {
        'x-forwarded-method': 'GET',
        'x-forwarded-proto': 'http',
        'x-forwarded-host': 'gate.example',
        'x-forwarded-uri': '/in/x?q=1',
      },
    });
  left = 2;
  const allowed = await decide();
  t.equal(allowed.status, 200);
  t.equal(allowed.headers['x-user'], 'u');
  t.equal(store.calls.at(-1)?.message.url, '/in/x?q=1');
  left = 0;
  const denied = await decide();
  t.equal(denied.status, 403);
  t.equal(denied.text, 'why');
});
