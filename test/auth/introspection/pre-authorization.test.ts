import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import t, { type Test } from 'tap';
import { ask } from '../../ask.js';
import { apiRule, startTestGateway } from '../../gateway.js';
import { startIntrospection } from '../../introspection.js';
import { start as startAuthorizationServer } from '../../stack/authorization-server.js';
import { makeCertificate } from '../../stack/certificate.js';
import { until } from '../../until.js';
import { SECRET, start } from './client-auth-setup.js';

/** A token endpoint and an introspection endpoint that takes what the other one gave last. */
async function startGrants(t: Test, lifetime: number | undefined = 600) {
  const endpoint = await startIntrospection({
    t: { scope: 'read' },
    u: { scope: 'read' },
    v: { scope: 'read' },
  });
  t.teardown(() => endpoint.close());
  const given: string[] = [];
  const refused = new Set<string>();
  const fields = (message: IncomingMessage) => message.headers.authorization;
  endpoint.fault = (message, response) => {
    const json = { 'content-type': 'application/json' };
    if (message.url?.startsWith('/token') === true) {
      if (state.broken) return void response.writeHead(state.broken, json).end('{"error":"invalid_client"}');
      const token = `gateway-token-${given.length}`;
      given.push(token);
      const body = { access_token: token, token_type: 'bearer', expires_in: lifetime };
      return void response.writeHead(200, json).end(JSON.stringify(body));
    }
    const bearer = fields(message)?.replace('Bearer ', '') ?? '';
    if (!given.includes(bearer) || refused.has(bearer)) {
      return void response.writeHead(401, { 'www-authenticate': 'Bearer' }).end();
    }
    response.writeHead(200, json).end('{"active":true,"scope":"read"}');
  };
  const state = { endpoint, given, refused, broken: 0, tokenUrl: new URL('/token', endpoint.url).href };
  return state;
}

t.test('pre_authorization: one token for all calls, renewed before it ends', async (t) => {
  const grants = await startGrants(t);
  const clientAuth = {
    method: 'pre_authorization',
    clientId: 'gate:way',
    clientSecret: SECRET,
    tokenUrl: grants.tokenUrl,
    scope: ['introspect', 'more'],
    audience: 'hydra',
  };
  const url = grants.endpoint.url;
  const { gate, clock } = await start(t, { url, clientAuth, cache: { enabled: false } });
  const all = await Promise.all(['a', 'b', 'c', 'd'].map((token) => ask(gate, '/x', { token })));
  t.same(
    all.map(({ status }) => status),
    [200, 200, 200, 200],
  );
  t.equal(grants.given.length, 1, 'one fetch for all who wait');
  const [request] = grants.endpoint.requests;
  t.same(Object.fromEntries(new URLSearchParams(request?.body)), {
    grant_type: 'client_credentials',
    scope: 'introspect more',
    audience: 'hydra',
  });
  const basic = Buffer.from(`gate%3Away:${SECRET}`).toString('base64');
  t.equal(request?.message.headers.authorization, `Basic ${basic}`);

  clock.advance(569_999);
  t.equal((await ask(gate, '/x', { token: 'e' })).status, 200);
  t.equal(grants.given.length, 1);
  clock.advance(1);
  t.equal(
    (await ask(gate, '/x', { token: 'f' })).status,
    200,
    'the old one serves while the next is fetched',
  );
  await until(async () => grants.given.length === 2);
  t.equal((await ask(gate, '/x', { token: 'g' })).status, 200);
  t.equal(grants.endpoint.requests.at(-1)?.message.headers.authorization, 'Bearer gateway-token-1');
  t.notMatch(JSON.stringify(gate.log), /gateway-token|a-client-secret/);
});

t.test(
  'pre_authorization: a token that the server refuses is replaced once, then the fault is the server’s',
  async (t) => {
    const grants = await startGrants(t);
    const clientAuth = {
      method: 'pre_authorization',
      clientId: 'gateway',
      clientSecret: SECRET,
      tokenUrl: grants.tokenUrl,
    };
    const { gate } = await start(t, {
      url: grants.endpoint.url,
      clientAuth,
      cache: { enabled: false },
      breaker: { failures: 0 },
    });
    t.equal((await ask(gate, '/x', { token: 'a' })).status, 200);
    grants.refused.add('gateway-token-0');
    t.equal((await ask(gate, '/x', { token: 'a' })).status, 200, 'revoked before its time');
    t.equal(grants.given.length, 2);
    const fault = grants.endpoint.fault;
    grants.endpoint.fault = (message, response) => {
      if (message.url?.startsWith('/token') === true) return fault?.(message, response);
      response.writeHead(401, { 'www-authenticate': 'Bearer' }).end();
    };
    const before = grants.endpoint.requests.length;
    const reply = await ask(gate, '/x', { token: 'a' });
    t.equal(reply.status, 503);
    t.equal(reply.headers['www-authenticate'], undefined);
    t.equal(grants.endpoint.requests.length - before, 3, 'the call, one new token, the call again');
    grants.endpoint.fault = fault;
    t.equal((await ask(gate, '/x', { token: 'a' })).status, 200, 'and it recovers');
  },
);

t.test('pre_authorization: trouble at the token endpoint is 503, and a good token outlives it', async (t) => {
  for (const broken of [401, 500, 429, 400]) {
    const grants = await startGrants(t);
    const clientAuth = {
      method: 'pre_authorization',
      clientId: 'gateway',
      clientSecret: SECRET,
      tokenUrl: grants.tokenUrl,
    };
    const url = grants.endpoint.url;
    const { gate, clock } = await start(t, { url, clientAuth, cache: { enabled: false } });
    grants.broken = broken;
    const reply = await ask(gate, '/x', { token: 'a' });
    t.equal(reply.status, 503, `${broken}`);
    t.match(reply.headers['retry-after'], /^[1-9]/);
    t.equal(reply.headers['www-authenticate'], undefined);
    t.match(
      gate.log.find(({ msg }) => msg === 'introspection failed'),
      { cause: /token endpoint/ },
    );
    t.equal(
      grants.endpoint.asked.filter((token) => token === 'a').length,
      0,
      'the client’s token went nowhere',
    );
    grants.broken = 0;
    clock.advance(300_000);
    t.equal((await ask(gate, '/x', { token: 'a' })).status, 200);
    grants.broken = broken;
    clock.advance(590_000);
    t.equal((await ask(gate, '/x', { token: 'a' })).status, 200, 'the renewal failed, the token is good');
    clock.advance(10_000);
    t.equal((await ask(gate, '/x', { token: 'a' })).status, 503, 'until it ends');
  }
});

t.test('pre_authorization: what is no usable token response', async (t) => {
  for (const body of [
    '{"access_token":"a b","token_type":"bearer"}',
    '{"access_token":"","token_type":"bearer"}',
    '{"token_type":"bearer"}',
    '{"access_token":"t","token_type":"mac"}',
    '<html>',
    'null',
  ]) {
    const grants = await startGrants(t);
    grants.endpoint.fault = (_message, response) =>
      void response.writeHead(200, { 'content-type': 'application/json' }).end(body);
    const clientAuth = {
      method: 'pre_authorization',
      clientId: 'gateway',
      clientSecret: SECRET,
      tokenUrl: grants.tokenUrl,
    };
    const { gate } = await start(t, { url: grants.endpoint.url, clientAuth });
    t.equal((await ask(gate, '/x', { token: 't' })).status, 503, body);
    t.equal(grants.endpoint.requests.length, 1, 'nothing was asked with it');
  }
});

t.test(
  'pre_authorization of a second server: its token endpoint is trusted by its own authorities',
  async (t) => {
    const certificate = await makeCertificate(['127.0.0.1']);
    const seen: string[] = [];
    const server = createHttpsServer({ ...certificate, requestCert: true, rejectUnauthorized: false });
    server.on('request', ({ url = '', headers, socket }, response) => {
      const shown = (socket as TLSSocket).getPeerX509Certificate()?.subject ?? 'nothing';
      seen.push(`${url} ${headers.authorization?.replace(/(?<=Basic ).*/, '…')} shown ${shown}`);
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(
        url === '/token'
          ? '{"access_token":"of-the-second","token_type":"bearer","expires_in":600}'
          : '{"active":true,"scope":"read"}',
      );
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.teardown(() => {
      server.closeAllConnections();
      server.close();
    });
    const origin = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const folder = t.testdir({ ca: certificate.ca, cert: certificate.cert, key: certificate.key });
    const second = (tls: object) => ({
      url: `${origin}/introspect`,
      tls,
      clientAuth: {
        method: 'pre_authorization',
        clientId: 'gateway',
        clientSecret: SECRET,
        tokenUrl: `${origin}/token`,
      },
    });
    const rules = apiRule('gate.example', [
      {
        path: '/second',
        methods: ['GET'],
        accessStrategies: [
          { handler: 'oauth2_introspection', config: { introspection_url: `${origin}/introspect` } },
        ],
      },
    ]);
    const [ca, cert, key] = ['ca', 'cert', 'key'].map((name) => join(folder, name));
    const gate = await startTestGateway(t, {
      rules,
      settings: { introspection: { servers: [second({ ca, cert, key })] } },
    });
    t.equal((await ask(gate, '/second', { token: 't' })).status, 200);
    t.same(seen, ['/token Basic … shown nothing', '/introspect Bearer of-the-second shown CN=127.0.0.1']);
    const wary = await startTestGateway(t, { rules, settings: { introspection: { servers: [second({})] } } });
    t.equal((await ask(wary, '/second', { token: 't' })).status, 503, 'not by the system’s');
    t.equal(seen.length, 2);
  },
);

t.test('pre_authorization of a rule, as Oathkeeper has it, before Hydra’s own token endpoint', async (t) => {
  const server = await startAuthorizationServer();
  t.teardown(() => server.close());
  const client = server.registerClient({ client_id: 'gateway', scope: 'introspect' });
  const rules = apiRule('gate.example', [
    {
      path: '/own',
      methods: ['GET'],
      accessStrategies: [
        {
          handler: 'oauth2_introspection',
          config: {
            introspection_url: server.introspectionUrl,
            pre_authorization: {
              enabled: true,
              client_id: 'gateway',
              client_secret: client.client_secret,
              token_url: `${server.publicUrl}/oauth2/token`,
              scope: ['introspect'],
            },
          },
        },
      ],
    },
  ]);
  const gate = await startTestGateway(t, { rules });
  const token = await server.issueToken({ scope: 'read' });
  t.equal((await ask(gate, '/own', { token })).status, 200);
  const authorization = server.introspections[0]?.headers.authorization ?? '';
  t.match(authorization, /^Bearer ory_at_/);
  const own = await fetch(server.introspectionUrl, {
    method: 'POST',
    headers: { authorization },
    body: new URLSearchParams({ token: authorization.slice('Bearer '.length) }),
  });
  t.match(await own.json(), { active: true, scope: 'introspect' }, 'of the scope that the rule names');
  const shown = await (await fetch(`${gate.adminUrl}/rules`)).text();
  t.notMatch(shown, client.client_secret as string, 'the admin port keeps the secret');
  t.notMatch(JSON.stringify(gate.log), client.client_secret as string);
});
