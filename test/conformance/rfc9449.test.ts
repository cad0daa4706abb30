import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { exportJWK, UnsecuredJWT } from 'jose';
import * as oauth from 'oauth4webapi';
import t, { type Test } from 'tap';
import { DpopVerifier, type OtherGateways } from '../../src/auth/possession/dpop.js';
import { ReplayCache } from '../../src/auth/possession/replay.js';
import { loadOptions } from '../../src/commands/load.js';
import { formatFinding } from '../../src/document/finding.js';
import { loadRules } from '../../src/rules/load.js';
import { ask, type Question, type Reply } from '../ask.js';
import { type FakeClock, fakeClock } from '../clock.js';
import { arrival } from '../decision.js';
import { apiRule, startTestGateway, type TestGateway } from '../gateway.js';
import { startIssuer } from '../jwks.js';
import { type ClientKey, makeClientKey, type ProvenRequest } from '../proof.js';
import { settingsFor } from '../settings.js';
import { sendRaw } from '../wire.js';
import { prove } from './statements.js';

const URI = 'http://gate.example/any';
const key = await makeClientKey();
const other = await makeClientKey();

const strategy = (path: string, config: object, handler = 'oauth2_introspection') => ({
  path,
  methods: ['GET', 'POST'],
  accessStrategies: [{ handler, config }],
});

const RULES = [
  strategy('/any', {}),
  strategy('/a/.*', {}),
  strategy('/read', { required_scope: ['read'] }),
  strategy('/only', { proof_of_possession: 'dpop' }),
  strategy('/some', { proof_of_possession: 'any' }),
  strategy('/query', { token_from: { query_parameter: 'access_token' } }),
];

const TOKENS = {
  t: { cnf: { jkt: key.jkt }, token_type: 'DPoP' },
  typed: { cnf: { jkt: key.jkt }, token_type: 'Bearer' },
  free: {},
  unbound: { token_type: 'DPoP' },
};

interface Started {
  readonly gate: TestGateway;
  readonly clock: FakeClock;
  /** Asks with a proof that is right but for what is laid over it. */
  readonly show: (more?: Shown) => Promise<Reply>;
}

interface Shown {
  readonly token?: string;
  readonly by?: ClientKey;
  readonly path?: string;
  readonly request?: Partial<ProvenRequest>;
  readonly claims?: object;
  readonly header?: object;
  /** Sent in place of one made from the above. */
  readonly proof?: string;
  readonly question?: Question;
}

async function start(t: Test, dpop: object = {}, more: object = {}): Promise<Started> {
  const clock = fakeClock();
  const gate = await startTestGateway(t, {
    clock,
    rules: apiRule('gate.example', RULES),
    tokens: TOKENS,
    settings: { realm: 'r', proof: { dpop: { enabled: true, ...dpop } }, ...more },
  });
  const show = async ({
    token = 't',
    by = key,
    path = '/any',
    request,
    claims,
    header,
    proof,
    question,
  }: Shown = {}) => {
    const uri = `http://gate.example${path}`;
    const made = proof ?? (await by.prove({ uri, token, now: clock.wall(), ...request }, claims, header));
    const headers = { authorization: `DPoP ${token}`, dpop: made, ...question?.headers };
    return ask(gate, path, { ...question, headers });
  };
  return { gate, clock, show };
}

function refused(t: Test, reply: Reply, error: string, reason: RegExp): void {
  t.equal(reply.status, 401, String(reason));
  t.match(reply.headers['www-authenticate'], new RegExp(`^DPoP realm="r", error="${error}", .*algs="ES256 `));
  t.match(reply.reason, reason);
}

t.test('RFC 9449', async (t) => {
  await prove(t, ['R9449-'], {
    'R9449-01': async (t) => {
      const { gate, clock, show } = await start(t);
      t.equal((await show()).status, 200, 'one is right');
      const proofs = await Promise.all(
        [0, 1].map(() => key.prove({ uri: URI, token: 't', now: clock.wall() })),
      );
      const head = (fields: string) =>
        `GET /any HTTP/1.1\r\nHost: gate.example\r\nAuthorization: DPoP t\r\n${fields}\r\n`;
      for (const fields of [
        `DPoP: ${proofs[0]}\r\ndpop: ${proofs[1]}\r\n`,
        `DPoP: ${proofs[0]}\r\nDPoP: ${proofs[0]}\r\n`,
        `DPoP: ${proofs[0]}, ${proofs[1]}\r\n`,
        '',
      ]) {
        const { answers } = await sendRaw(gate.port, head(fields));
        t.equal(answers[0]?.status, 401, fields);
        t.match(answers[0]?.headers.get('www-authenticate'), [/^DPoP .*error="invalid_dpop_proof"/]);
        if (fields.split('\r\n').length > 2) t.match(answers[0]?.body.toString(), /more than one DPoP field/);
      }
      t.equal(gate.upstream.received.length, 1);
    },

    'R9449-02': async (t) => {
      const started = await start(t);
      const { show } = started;
      for (const proof of [
        'x',
        'a.b',
        'a.b.c',
        '..',
        `${'a'.repeat(20)}.!.c`,
        'e30.e30.e30',
        'bnVsbA.bnVsbA.AA',
      ]) {
        refused(t, await show({ proof }), 'invalid_dpop_proof', /DPoP proof/);
      }
      const { clock } = started;
      const good = await key.prove({ uri: URI, token: 't', now: clock.wall() });
      for (const proof of [`!${good}`, `${good}=`, `x.${good}`])
        refused(t, await show({ proof }), 'invalid_dpop_proof', /not one JSON Web Token/);
      // Libraries pass over `b64` where `crit` does not name it (RFC 7797 §6).
      for (const b64 of [false, 0, 'false'])
        refused(t, await show({ header: { b64 } }), 'invalid_dpop_proof', /not one JSON Web Token/);
    },

    'R9449-03': async (t) => {
      const { show } = await start(t);
      for (const claim of ['jti', 'htm', 'htu', 'iat']) {
        for (const value of [undefined, null, true, claim === 'iat' ? '1' : 1, '']) {
          refused(t, await show({ claims: { [claim]: value } }), 'invalid_dpop_proof', /DPoP proof/);
        }
      }
    },

    'R9449-04': async (t) => {
      const { show } = await start(t);
      for (const typ of ['JWT', 'at+jwt', undefined, 'dpop', 'application/jwt']) {
        refused(t, await show({ header: { typ } }), 'invalid_dpop_proof', /type dpop\+jwt/);
      }
      t.equal((await show({ header: { typ: 'DPoP+JWT' } })).status, 200, 'in any case (RFC 7515 §4.1.9)');
    },

    'R9449-05': async (t) => {
      const { show, clock } = await start(t, { algorithms: ['ES256', 'Ed25519'] });
      const claims = { jti: 'j', htm: 'GET', htu: URI, iat: clock.wall() };
      refused(
        t,
        await show({ proof: new UnsecuredJWT(claims).encode() }),
        'invalid_dpop_proof',
        /one JSON Web/,
      );
      const [, payload] = (await key.prove({ uri: URI, token: 't', now: clock.wall() })).split('.');
      for (const alg of ['none', 'HS256', 'RS256', 'ES256K']) {
        const header = Buffer.from(JSON.stringify({ typ: 'dpop+jwt', alg, jwk: key.jwk })).toString(
          'base64url',
        );
        refused(t, await show({ proof: `${header}.${payload}.AAAA` }), 'invalid_dpop_proof', /algorithm/);
      }
      t.throws(() => settingsFor(['r'], { proof: { dpop: { algorithms: ['ES256', 'HS256'] } } }), {
        message: /settings.yaml:1:\d+ error invalid-value proof.dpop.algorithms.1 must be one of ES256/,
      });
    },

    'R9449-06': async (t) => {
      const { show, clock } = await start(t);
      const good = await key.prove({ uri: URI, token: 't', now: clock.wall() });
      const forged = (await other.prove({ uri: URI, token: 't', now: clock.wall() })).split('.')[2];
      const cut = good.split('.').slice(0, 2).join('.');
      refused(t, await show({ proof: `${cut}.${forged}` }), 'invalid_dpop_proof', /cannot be verified/);
      refused(
        t,
        await show({ by: other, header: { jwk: key.jwk } }),
        'invalid_dpop_proof',
        /cannot be verified/,
      );
      refused(
        t,
        await show({ header: { crit: ['x'], x: 1 } }).catch(() => show({ proof: `${cut}.AAAA` })),
        'invalid_dpop_proof',
        /cannot be verified/,
      );
    },

    'R9449-07': async (t) => {
      const { show } = await start(t);
      const jwk = await exportJWK(key.privateKey);
      refused(t, await show({ header: { jwk } }), 'invalid_dpop_proof', /private key/);
      const symmetric = { kty: 'oct', k: 'AAAA' };
      refused(t, await show({ header: { jwk: symmetric } }), 'invalid_dpop_proof', /private key/);
      for (const none of [undefined, null, 'x', {}, []]) {
        refused(t, await show({ header: { jwk: none } }), 'invalid_dpop_proof', /no key|cannot be verified/);
      }
    },

    'R9449-08': async (t) => {
      const { show } = await start(t);
      refused(t, await show({ question: { method: 'POST' } }), 'invalid_dpop_proof', /another method/);
      refused(t, await show({ claims: { htm: 'get' } }), 'invalid_dpop_proof', /another method/);
      t.equal((await show({ request: { method: 'POST' }, question: { method: 'POST' } })).status, 200);
    },

    'R9449-09': async (t) => {
      const { show } = await start(t);
      for (const htu of [
        'http://gate.example/other',
        'http://gate.example/any/',
        'http://gate.example/ANY',
        'https://gate.example/any',
        'http://gate.example:8080/any',
        'http://evil.example/any',
        'http://user@gate.example/any',
        'http://gate.example/any/../any/x',
        '/any',
        'any',
        '',
      ]) {
        refused(t, await show({ claims: { htu } }), 'invalid_dpop_proof', /another URI/);
      }
      for (const htu of [
        'HTTP://GATE.example:80/any',
        'http://gate.example/%61ny',
        'http://gate.example/x/../any',
        'http://gate.example/any?a=b#c',
      ]) {
        t.equal((await show({ claims: { htu } })).status, 200, htu);
      }
      t.equal(
        (await show({ path: '/a/%7e%c3%bc?q', claims: { htu: 'http://gate.example/a/~%C3%BC' } })).status,
        200,
      );
      t.equal((await show({ path: '/a//b' })).status, 200);
      refused(
        t,
        await show({ path: '/a//b', claims: { htu: 'http://gate.example/a/b' } }),
        'invalid_dpop_proof',
        /URI/,
      );
    },

    'R9449-10': async (t) => {
      const { show, clock } = await start(t, { nonce: { required: true, lifetime: '60s' } });
      const first = await show();
      refused(t, first, 'use_dpop_nonce', /nonce/);
      const nonce = first.headers['dpop-nonce'];
      t.match(nonce, /^[\x21\x23-\x5b\x5d-\x7e]+$/, 'NQCHAR (RFC 9449 §8.1)');
      t.equal(first.headers['cache-control'], 'no-store');
      for (const wrong of ['x', '', 1, null]) {
        refused(t, await show({ claims: { nonce: wrong } }), 'use_dpop_nonce', /nonce/);
      }
      t.equal((await show({ claims: { nonce } })).status, 200);
      clock.advance(60_000);
      t.equal((await show({ claims: { nonce } })).status, 200, 'the one before is taken');
      clock.advance(60_000);
      refused(t, await show({ claims: { nonce } }), 'use_dpop_nonce', /nonce/);
    },

    'R9449-11': async (t) => {
      const { show, clock } = await start(t, { maxAge: '30s', leeway: '2s' });
      const at = (seconds: number) => show({ claims: { iat: clock.wall() + seconds } });
      t.equal((await at(-30)).status, 200);
      t.equal((await at(2)).status, 200);
      refused(t, await at(-31), 'invalid_dpop_proof', /too old/);
      refused(t, await at(3), 'invalid_dpop_proof', /future/);
      refused(
        t,
        await show({ claims: { exp: clock.wall() - 3 } }),
        'invalid_dpop_proof',
        /cannot be verified/,
      );
    },

    'R9449-12': async (t) => {
      const { show } = await start(t);
      for (const ath of [undefined, '', 'x', 1]) {
        refused(t, await show({ claims: { ath } }), 'invalid_dpop_proof', /another token/);
      }
      refused(
        t,
        await show({ token: 'typed', request: { token: 't' } }),
        'invalid_dpop_proof',
        /another token/,
      );
    },

    'R9449-13': async (t) => {
      const { gate, show } = await start(t);
      refused(t, await show({ by: other }), 'invalid_token', /bound to another key/);
      t.equal(gate.upstream.received.length, 0);
      t.equal((await show({ token: 'typed' })).status, 200, 'what counts is the key, not the type');
      refused(t, await show({ token: 'free' }), 'invalid_token', /not bound to a key/);
      refused(t, await show({ token: 'unbound' }), 'invalid_token', /not a bearer token/);
    },

    'R9449-14': async (t) => {
      const { gate, clock } = await start(t);
      const dpop = await key.prove({ uri: URI, token: 't', now: clock.wall() });
      for (const token of ['t', 'typed']) {
        for (const headers of [{}, { dpop }] as Record<string, string>[]) {
          const reply = await ask(gate, '/any', { token, headers });
          t.equal(reply.status, 401);
          t.match(
            reply.headers['www-authenticate'],
            /^Bearer realm="r", error="invalid_token", .*, DPoP realm="r", algs="ES256 /,
          );
        }
      }
      t.equal((await ask(gate, '/query?access_token=t', { headers: { dpop } })).status, 401, 'in the query');
      t.equal(gate.upstream.received.length, 0);
      t.equal((await ask(gate, '/any', { token: 'free' })).status, 200, 'a plain token is still one');
    },

    'R9449-15': async (t) => {
      const { gate } = await start(t);
      const algs = 'algs="ES256 ES384 ES512 EdDSA Ed25519 PS256 PS384 PS512 RS256 RS384 RS512"';
      const challenged = async (path: string) => (await ask(gate, path)).headers['www-authenticate'];
      t.equal(
        await challenged('/read'),
        `DPoP realm="r", scope="read", ${algs}, Bearer realm="r", scope="read"`,
      );
      t.equal(await challenged('/only'), `DPoP realm="r", ${algs}`, 'Bearer would be of no use');
    },

    'R9449-16': async (t) => {
      const { gate, clock, show } = await start(t, { maxAge: '30s', leeway: '5s', maxProofsPerKey: 5 });
      const proof = await key.prove({ uri: URI, token: 't', now: clock.wall() + 5 });
      t.equal((await show({ proof })).status, 200);
      for (const passed of [0, 20_000, 15_000]) {
        clock.advance(passed);
        refused(t, await show({ proof }), 'invalid_dpop_proof', /used before/);
      }
      clock.advance(1_000);
      refused(t, await show({ proof }), 'invalid_dpop_proof', /too old/);
      const made = await key.prove({ uri: URI, token: 't', now: clock.wall() });
      const together = await Promise.all(Array.from({ length: 20 }, () => show({ proof: made })));
      t.equal(together.filter(({ status }) => status === 200).length, 1, 'of many at once one gets through');
      for (let i = 0; i < 4; i++) t.equal((await show()).status, 200);
      refused(t, await show(), 'invalid_dpop_proof', /too many/);
      gate.endpoint.tokens.set('o', { cnf: { jkt: other.jkt } });
      t.equal((await show({ token: 'o', by: other })).status, 200, 'another key has its own share');
      clock.advance(36_000);
      t.equal((await show()).status, 200, 'what is too old is forgotten');
    },

    'R9449-17': async (t) => {
      const { gate, clock, show } = await start(t, { nonce: { required: true, lifetime: '60s' } });
      const nonce = (await show()).headers['dpop-nonce'];
      t.equal((await show({ claims: { nonce, htm: 'x' } })).headers['dpop-nonce'], nonce, 'with any refusal');
      t.equal((await show({ claims: { nonce } })).headers['dpop-nonce'], undefined, 'nothing new to say');
      clock.advance(60_000);
      const renewed = await show({ claims: { nonce } });
      t.equal(renewed.status, 200);
      t.not(renewed.headers['dpop-nonce'], nonce);
      t.equal(renewed.headers['cache-control'], 'no-store', 'no cache may hand it out again');
      t.equal((await show({ claims: { nonce: renewed.headers['dpop-nonce'] } })).status, 200);
      t.equal(gate.upstream.received.length, 3);
    },
  });
});

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
    message: /proof.dpop.nonce.secretFile must hold 32 bytes at least/,
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
