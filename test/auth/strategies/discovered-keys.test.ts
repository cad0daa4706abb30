import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { ask } from '../../ask.js';
import { fakeClock } from '../../clock.js';
import { apiRule, startTestGateway } from '../../gateway.js';
import { type Issuer, startIssuer } from '../../jwks.js';

const NOW = 1_790_000_000;
const OPENID = '/.well-known/openid-configuration';
const OAUTH = '/.well-known/oauth-authorization-server';

/** A server with metadata: answers by path; whatever has none is 404. */
async function startServer(t: Test) {
  const asked: string[] = [];
  const answers = new Map<string, object | ((response: ServerResponse) => void)>();
  const server = createServer(({ url = '' }, response) => {
    asked.push(url);
    const answer = answers.get(url);
    if (typeof answer === 'function') answer(response);
    else if (answer === undefined) response.writeHead(404).end();
    else response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => new Promise((resolve) => server.close(resolve)));
  t.teardown(() => server.closeAllConnections());
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, answers };
}

async function startKeys(t: Test, now: () => number) {
  const keys = await startIssuer(now);
  t.teardown(() => keys.close());
  return { keys, key: await keys.makeKey('k1') };
}

function rulesOf(config: object): string {
  return apiRule('gate.example', [
    { path: '/.*', methods: ['GET'], accessStrategies: [{ handler: 'jwt', config }] },
  ]);
}

t.test(
  'an issuer without key sets: its metadata names them, as OpenID Connect or OAuth has it',
  async (t) => {
    const clock = fakeClock(NOW);
    const server = await startServer(t);
    const { keys, key } = await startKeys(t, clock.wall);
    for (const [issuer, path] of [
      [server.origin, OPENID],
      [`${server.origin}/`, OPENID],
      [`${server.origin}/tenant`, `/tenant${OPENID}`],
      [`${server.origin}/other`, `${OAUTH}/other`],
    ] as const) {
      server.answers.clear();
      server.answers.set(path, { issuer, jwks_uri: keys.url });
      for (const config of [
        { allowed_algorithms: ['ES256'], trusted_issuers: [issuer] },
        { authentications: [{ issuer }] },
      ]) {
        const gate = await startTestGateway(t, { rules: rulesOf(config), clock });
        const get = async (iss: string) =>
          (await ask(gate, '/x', { token: await keys.sign(key, 'k1', { iss }) })).status;
        t.equal(await get(issuer), 200, `${issuer} ${path}`);
        const before = server.asked.length;
        t.equal(await get(issuer), 200);
        t.equal(await get('http://evil.example'), 401, 'only issuers that the rule names');
        t.equal(server.asked.length, before, 'what was found is kept');
      }
    }
  },
);

t.test('each issuer’s tokens are verified with its own keys only', async (t) => {
  const clock = fakeClock(NOW);
  const [a, b] = [await startServer(t), await startServer(t)];
  const [ofA, ofB] = [await startKeys(t, clock.wall), await startKeys(t, clock.wall)];
  a.answers.set(OPENID, { issuer: a.origin, jwks_uri: ofA.keys.url });
  b.answers.set(OPENID, { issuer: b.origin, jwks_uri: ofB.keys.url });
  const config = { allowed_algorithms: ['ES256'], trusted_issuers: [a.origin, b.origin] };
  const gate = await startTestGateway(t, { rules: rulesOf(config), clock });
  const get = async ({ keys, key }: typeof ofA, iss: string) =>
    (await ask(gate, '/x', { token: await keys.sign(key, 'k1', { iss }) })).status;
  t.equal(await get(ofA, a.origin), 200);
  t.equal(b.asked.length, 0, 'the other one is not asked');
  t.equal(await get(ofB, b.origin), 200);
  t.equal(await get(ofB, a.origin), 401);
  t.equal(await get(ofA, b.origin), 401);
});

t.test('metadata that cannot be used is the server’s trouble, 503', async (t) => {
  const clock = fakeClock(NOW);
  const server = await startServer(t);
  const { keys, key } = await startKeys(t, clock.wall);
  const issuer = server.origin;
  const config = { allowed_algorithms: ['ES256'], trusted_issuers: [issuer] };
  const gate = await startTestGateway(t, { rules: rulesOf(config), clock });
  const get = async (kid = 'k1') => ask(gate, '/x', { token: await keys.sign(key, kid, { iss: issuer }) });
  const good = { issuer, jwks_uri: keys.url };
  const faults: Record<string, object | ((response: ServerResponse) => void) | undefined> = {
    'the authorization server answered 404 for its metadata': undefined,
    'the metadata cannot be read: it answered 500': (response: ServerResponse) =>
      response.writeHead(500).end(),
    'the metadata cannot be read: it answered 302': (response: ServerResponse) =>
      response.writeHead(302, { location: '/moved' }).end(),
    'the metadata of the authorization server is not JSON': (response: ServerResponse) =>
      response.end('<html>'),
    'the metadata of the authorization server is not a JSON object': (response: ServerResponse) =>
      response.end('null'),
    'the issuer in the metadata is not the one that was asked': { ...good, issuer: `${issuer}/` },
    'the metadata has no jwks_uri': { issuer },
    'the metadata of the authorization server has an unusable address': { ...good, jwks_uri: 'file:///k' },
  };
  server.answers.set('/moved', good);
  for (const [cause, fault] of Object.entries(faults)) {
    if (fault === undefined) server.answers.delete(OPENID);
    else server.answers.set(OPENID, fault);
    const answer = await get();
    t.equal(answer.status, 503, cause);
    t.ok(Number(answer.headers['retry-after']) >= 1);
    t.ok(
      gate.log.some((line) => line.msg === 'call failed' && line.cause === cause),
      cause,
    );
    const before = server.asked.length;
    t.equal((await get()).status, 503);
    t.equal(server.asked.length, before, 'it is left alone for a while');
    clock.advance(3_000);
  }
  t.equal(keys.reads(), 0);
  t.notOk(server.asked.includes('/moved'), 'redirects are not followed');

  server.answers.set(OPENID, good);
  t.equal((await get()).status, 200);
  server.answers.delete(OPENID);
  t.equal((await get()).status, 200, 'known keys outlive an outage');
  clock.advance(11_000);
  t.equal((await get('k9')).status, 503, 'whether an unknown key is good nobody can say');
  server.answers.set(OPENID, good);
});

t.test('keys are rotated, and a key set may move', async (t) => {
  const clock = fakeClock(NOW);
  const server = await startServer(t);
  const [old, next] = [await startKeys(t, clock.wall), await startIssuer(clock.wall)];
  t.teardown(() => next.close());
  const issuer = server.origin;
  server.answers.set(OPENID, { issuer, jwks_uri: old.keys.url });
  const config = { allowed_algorithms: ['ES256'], trusted_issuers: [issuer] };
  const gate = await startTestGateway(t, { rules: rulesOf(config), clock });
  const get = async (from: Issuer, key: typeof old.key, kid: string) =>
    (await ask(gate, '/x', { token: await from.sign(key, kid, { iss: issuer }) })).status;
  t.equal(await get(old.keys, old.key, 'k1'), 200);
  const moved = await next.makeKey('k2');
  server.answers.set(OPENID, { issuer, jwks_uri: next.url });
  clock.advance(11_000);
  t.equal(await get(next, moved, 'k2'), 200);
  t.equal(await get(old.keys, old.key, 'k1'), 401);
});
