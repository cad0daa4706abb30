import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import * as oauth from 'oauth4webapi';
import t, { type Test } from 'tap';
import { DpopVerifier, type OtherGateways } from '../../src/auth/possession/dpop.js';
import { ReplayCache } from '../../src/auth/possession/replay.js';
import { loadOptions } from '../../src/commands/load.js';
import { formatFinding } from '../../src/document/finding.js';
import { loadRules } from '../../src/rules/load.js';
import { ask } from '../ask.js';
import { fakeClock } from '../clock.js';
import { arrival } from '../decision.js';
import { apiRule, startTestGateway, type TestGateway } from '../gateway.js';
import { startIssuer } from '../jwks.js';
import type { ClientKey } from '../proof.js';
import { settingsFor } from '../settings.js';
import { key, other, RULES, type Started, start, strategy, TOKENS, URI } from './dpop-setup.js';

t.test('a rule may demand a key, and DPoP is off unless it is turned on', async (t) => {
  const { gate, show } = await start(t);
  for (const path of ['/only', '/some']) {
    t.equal((await show({ path })).status, 200, path);
    const reply = await ask(gate, path, { token: 'free' });
    t.equal(reply.status, 401, path);
    t.match(reply.reason, /only tokens that are bound/);
  }
  const off = await startTestGateway(t, {
    rules: apiRule('gate.example', RULES.slice(0, 1)),
    tokens: TOKENS,
  });
  const headers = {
    authorization: 'DPoP t',
    dpop: await key.prove({ uri: URI, token: 't', now: Date.now() / 1000 }),
  };
  const reply = await ask(off, '/any', { headers });
  t.equal(reply.status, 401);
  t.match(reply.headers['www-authenticate'], /^Bearer realm="[^"]*"$/, 'another scheme like any');
  const file = join(t.testdir(), 'rules.yaml');
  writeFileSync(file, apiRule('gate.example', [strategy('/x', { proof_of_possession: 'dpop' })]));
  t.match(loadRules([file], loadOptions(settingsFor([file]), 1)).findings.map(formatFinding), [
    /rules.yaml:1:\d+ error invalid-value .*proof_of_possession: dpop needs the setting proof.dpop.enabled/,
  ]);
});

t.test('the URI is the one the client saw, as far as a trusted proxy says it', async (t) => {
  const forwarded = { 'x-forwarded-proto': 'https', 'x-forwarded-host': 'api.example:8443' };
  const outside = { htu: 'https://api.example:8443/any' };
  const trusting = await start(t, {}, { trustedProxies: ['127.0.0.1/32'] });
  const seen = (started: Started, claims: object, headers: Record<string, string>) =>
    started.show({ claims, question: { headers } });
  t.equal((await seen(trusting, outside, forwarded)).status, 200);
  t.equal((await seen(trusting, {}, forwarded)).status, 401);
  t.equal(
    (await seen(trusting, { htu: 'https://gate.example/any' }, { 'x-forwarded-proto': 'https' })).status,
    200,
  );
  t.equal(
    (await seen(trusting, outside, { ...forwarded, 'x-forwarded-host': 'api.example:8443, x' })).status,
    401,
  );
  const alone = await start(t);
  t.equal((await seen(alone, outside, forwarded)).status, 401, 'a client’s own words');
  t.equal((await seen(alone, {}, forwarded)).status, 200);
});

t.test('a proxy that asks for a decision describes the URI', async (t) => {
  const { gate, clock } = await start(t);
  const asked = async (htu: string, more: Record<string, string>) =>
    ask({ url: gate.adminUrl }, '/decisions', {
      headers: {
        authorization: 'DPoP t',
        dpop: await key.prove({ uri: htu, token: 't', now: clock.wall() }),
        ...more,
      },
    });
  const traefik = {
    'x-forwarded-method': 'GET',
    'x-forwarded-host': 'gate.example',
    'x-forwarded-uri': '/any?q',
  };
  t.equal(
    (await asked('https://gate.example/any', { ...traefik, 'x-forwarded-proto': 'https' })).status,
    200,
  );
  t.equal((await asked('http://gate.example/any', { ...traefik, 'x-forwarded-proto': 'https' })).status, 401);
  const nginx = { 'x-original-method': 'GET', 'x-original-url': 'https://gate.example/any' };
  t.equal((await asked('https://gate.example/any', nginx)).status, 200);
});

t.test('the jwt handler takes the same proofs', async (t) => {
  const clock = fakeClock();
  const issuer = await startIssuer(clock.wall);
  t.teardown(() => issuer.close());
  const signer = await issuer.makeKey('k1');
  const gate = await startTestGateway(t, {
    clock,
    rules: apiRule('gate.example', [
      strategy('/jwt', { jwks_urls: [issuer.url], allowed_algorithms: ['ES256'] }, 'jwt'),
    ]),
    settings: { proof: { dpop: { enabled: true } } },
  });
  const uri = 'http://gate.example/jwt';
  const token = await issuer.sign(signer, 'k1', { cnf: { jkt: key.jkt } });
  const shown = async (by: ClientKey, scheme = 'DPoP') =>
    ask(gate, '/jwt', {
      headers: {
        authorization: `${scheme} ${token}`,
        dpop: await by.prove({ uri, token, now: clock.wall() }),
      },
    });
  t.equal((await shown(key)).status, 200);
  const others = await shown(other);
  t.match(others.reason, /another key/);
  t.match(others.headers['www-authenticate'], /^DPoP [^,]*, error="invalid_token"/);
  const plain = await shown(key, 'Bearer');
  t.match(plain.reason, /must come with the scheme DPoP/);
  t.match(plain.headers['www-authenticate'], /^Bearer [^,]*, error="invalid_token"/);
  for (const cnf of [{ jwk: key.jwk }, { jkt: key.jkt, kid: '1' }, {}, 'x', { jkt: 1 }]) {
    const bad = await issuer.sign(signer, 'k1', { cnf: cnf as object });
    const headers = {
      authorization: `DPoP ${bad}`,
      dpop: await key.prove({ uri, token: bad, now: clock.wall() }),
    };
    t.match((await ask(gate, '/jwt', { headers })).reason, /cannot be verified here/, JSON.stringify(cnf));
  }
});

t.test('a binding that Hydra shows in ext is a binding', async (t) => {
  const bound = { jkt: key.jkt };
  const issuer = await startIssuer();
  t.teardown(() => issuer.close());
  const signer = await issuer.makeKey('k');
  const jwt = { jwks_urls: [issuer.url], allowed_algorithms: ['ES256'] };
  const claims = {
    inside: { ext: { cnf: bound, tenant: 'a' } },
    both: { cnf: bound, ext: { cnf: { ...bound } } },
    outside: { cnf: bound, ext: { cnf: null } },
    other: { cnf: bound, ext: { cnf: { jkt: other.jkt } } },
    unknown: { ext: { cnf: { kid: 'x' } } },
    odd: { ext: { cnf: 'x' } },
    free: { ext: { cnf: null } },
    plain: { ext: 'cnf', cnf: undefined },
  };
  const gate = await startTestGateway(t, {
    rules: apiRule('gate.example', [strategy('/any', {}), strategy('/jwt', jwt, 'jwt')]),
    tokens: { ...claims, nulled: { cnf: null, token_use: null } },
    settings: { proof: { dpop: { enabled: true } } },
  });
  const expected = {
    inside: [401, 200],
    both: [401, 200],
    outside: [401, 200],
    other: [401, 401],
    unknown: [401, 401],
    odd: [401, 401],
    free: [200, 401],
    plain: [200, 401],
    nulled: [200, 401],
  };
  for (const [name, statuses] of Object.entries(expected)) {
    const signed = await issuer.sign(signer, 'k', claims[name as keyof typeof claims] ?? {});
    for (const [path, token] of [
      ['/any', name],
      ['/jwt', signed],
    ] as const) {
      const uri = `http://gate.example${path}`;
      const dpop = await key.prove({ uri, token, now: Date.now() / 1000 });
      const bearer = (await ask(gate, path, { token })).status;
      const proved = (await ask(gate, path, { headers: { authorization: `DPoP ${token}`, dpop } })).status;
      t.same([bearer, proved], statuses, `${name} at ${path}: without a proof, and with one`);
    }
  }
});

t.test('a client of another make gets in, through a nonce, with any kind of key', async (t) => {
  const { gate } = await startReal(t);
  for (const algorithm of ['ES256', 'Ed25519', 'PS256', 'RS256']) {
    const pair = await oauth.generateKeyPair(algorithm);
    const client: oauth.Client = { client_id: 'c' };
    const handle = oauth.DPoP(client, pair);
    gate.endpoint.tokens.set(algorithm, { cnf: { jkt: await handle.calculateThumbprint() } });
    const options = { DPoP: handle, [oauth.allowInsecureRequests]: true, [oauth.customFetch]: through(gate) };
    const call = () =>
      oauth.protectedResourceRequest(algorithm, 'GET', new URL(`${URI}?q=1`), undefined, null, options);
    const error = await call().then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    t.ok(oauth.isDPoPNonceError(error), algorithm);
    t.equal((await call()).status, 200, algorithm);
  }
});

t.test('gateways with one secret take each other’s nonces', async (t) => {
  const secretFile = join(t.testdir(), 'secret');
  writeFileSync(secretFile, `${'s'.repeat(32)}\n`);
  const nonce = { required: true, secretFile };
  const [one, two, stranger] = await Promise.all([
    start(t, { nonce }),
    start(t, { nonce }),
    start(t, { nonce: { required: true } }),
  ]);
  const given = (await one.show()).headers['dpop-nonce'];
  t.equal((await two.show({ claims: { nonce: given } })).status, 200);
  t.equal((await stranger.show({ claims: { nonce: given } })).status, 401);
  writeFileSync(secretFile, 'short');
  t.throws(() => settingsFor(['r'], { proof: { dpop: { nonce } } }), {
    message: /proof.dpop.nonce.secretFile must contain at least 32 bytes/,
  });
});

t.test('the store never takes a proof twice in its time, and never grows beyond its limits', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ key: fc.nat(3), id: fc.nat(12), wait: fc.nat(3) }), { maxLength: 80 }),
      (shown) => {
        let now = 0;
        const limits = { lifetime: 10, maxProofs: 12, maxPerKey: 5 };
        const store = new ReplayCache(limits, () => now);
        const taken = new Map<string, number>();
        for (const { key, id, wait } of shown) {
          now += wait;
          const name = `${key} ${id}`;
          const live = [...taken].filter(([, at]) => now - at <= limits.lifetime);
          const result = store.remember(String(key), String(id));
          const known = live.some(([one]) => one === name);
          const own = live.filter(([one]) => one.startsWith(`${key} `)).length;
          const expected = known ? 'replayed' : own >= 5 ? 'key-full' : live.length >= 12 ? 'full' : 'new';
          if (result !== expected || store.size > 12) return false;
          if (result === 'new') taken.set(name, now);
        }
        return true;
      },
    ),
  );
  t.end();
});

t.test(
  'a proof of a client whose clock is ahead is taken once by all gateways, to its very end',
  async (t) => {
    const clock = fakeClock();
    const ends = new Map<string, number>();
    /** A store that forgets what has ended, as Redis does. */
    const others: OtherGateways = {
      claim: async (digest, life) => {
        const now = clock.monotonic();
        if ((ends.get(digest) ?? 0) > now) return false;
        ends.set(digest, now + life);
        return true;
      },
      required: true,
      onUnknown: () => {},
    };
    const options = { algorithms: ['ES256'], maxAge: 30, leeway: 5, maxProofs: 10, maxPerKey: 10, others };
    const { target } = arrival('/any');
    const proof = await key.prove({ uri: URI, token: 't', now: clock.wall() + 5 });
    const { fields } = arrival('/any', { DPoP: proof });
    /** Shows it to a gateway that has seen no proof itself. */
    const shown = () =>
      new DpopVerifier(options, clock.wall).verify({
        method: 'GET',
        target,
        fields,
        token: 't',
        jkt: key.jkt,
      });
    t.same(await shown(), { ok: true });
    for (const passed of [0, 29_999, 1, 4_999]) {
      clock.advance(passed);
      t.match(await shown(), { ok: false, reason: /used before/ }, `${passed} ms later`);
    }
    clock.advance(2);
    t.match(await shown(), { ok: false, reason: /too old/ });
  },
);

/** A gateway on the real clock that demands nonces. */
async function startReal(t: Test): Promise<{ gate: TestGateway }> {
  const gate = await startTestGateway(t, {
    rules: apiRule('gate.example', RULES),
    settings: { proof: { dpop: { enabled: true, nonce: { required: true } } } },
  });
  return { gate };
}

/** A fetch that reaches the gateway under its name. */
function through(gate: TestGateway) {
  return async (url: string, { method, headers }: { method: string; headers: Record<string, string> }) => {
    const { host, pathname, search } = new URL(url);
    const reply = await ask(gate, pathname + search, { method: method as 'GET', host, headers });
    return new Response(reply.text, {
      status: reply.status,
      headers: reply.headers as Record<string, string>,
    });
  };
}
