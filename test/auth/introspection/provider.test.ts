import { generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { exportJWK } from 'jose';
import * as oauth from 'oauth4webapi';
import t from 'tap';
import { Agent, request } from 'undici';
import { ask } from '../../ask.js';
import { apiRule, rule, startTestGateway, type TestGateway } from '../../gateway.js';
import { makeCertificate } from '../../stack/certificate.js';
import { APP_SECRET, type RealProvider, startProvider } from './provider.js';

// The gateway before an authorization server as its makers ship it (oidc-provider), all over sockets.

const SECRET = 'a-client-secret-that-is-long-enough-for-HS256';
const SIGNED = { introspection_signed_response_alg: 'RS256' } as const;
const basic = { token_endpoint_auth_method: 'client_secret_basic', client_secret: SECRET } as const;
const insecure = { [oauth.allowInsecureRequests]: true };

/** Rules that each ask another server. */
function rulesFor(urls: Readonly<Record<string, string | undefined>>): string {
  const rules = Object.entries(urls).map(([name, url]) => ({
    path: `/${name}`,
    methods: ['GET'],
    accessStrategies: [
      {
        handler: 'oauth2_introspection',
        config: { required_scope: ['read'], ...(url === undefined ? {} : { introspection_url: url }) },
      },
    ],
  }));
  return apiRule('gate.example', rules);
}

t.test('several real servers: each found, believed and authenticated to in its own way', async (t) => {
  const folder = t.testdir({});
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const [certificate, own] = await Promise.all([
    makeCertificate(['127.0.0.1']),
    makeCertificate(['gateway.example']),
  ]);
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const shown = new Map<string, string[]>();
  const start = (name: string, gateway: object, more: object = {}) =>
    startProvider(t, {
      gateway,
      tap: ({ url = '', socket, headers }) => {
        const subject = (socket as TLSSocket).getPeerX509Certificate?.()?.subject;
        const seen = [url, headers.accept, headers.authorization?.split(' ')[0], subject];
        shown.set(name, [...(shown.get(name) ?? []), seen.map((each) => each ?? '-').join(' ')]);
      },
      ...more,
    });
  const servers = {
    main: await start('main', basic),
    assertion: await start(
      'assertion',
      {
        token_endpoint_auth_method: 'private_key_jwt',
        jwks: { keys: [{ ...(await exportJWK(ec.publicKey)), alg: 'ES256', use: 'sig' }] },
        ...SIGNED,
      },
      { certificate },
    ),
    pki: await start(
      'pki',
      {
        token_endpoint_auth_method: 'tls_client_auth',
        tls_client_auth_san_dns: 'gateway.example',
        ...SIGNED,
      },
      { certificate, clientCa: own.ca, alias: true },
    ),
    shared: await start('shared', {
      token_endpoint_auth_method: 'client_secret_jwt',
      client_secret: SECRET,
      ...SIGNED,
    }),
    form: await start('form', { token_endpoint_auth_method: 'client_secret_post', client_secret: SECRET }),
  };
  const { main, assertion, pki, shared, form } = servers;
  const ca = file('ca', certificate.ca);
  const signed = { required: true };
  const gate = await startTestGateway(t, {
    rules: rulesFor({
      main: undefined,
      assertion: assertion.issuer,
      pki: `${pki.issuer}/`,
      shared: shared.issuer,
      form: form.introspectionUrl,
    }),
    settings: {
      introspection: {
        url: main.introspectionUrl,
        clientAuth: { method: 'basic', clientId: 'gateway', clientSecret: SECRET },
        servers: [
          {
            issuer: assertion.issuer,
            tls: { ca },
            clientAuth: {
              method: 'private_key_jwt',
              clientId: 'gateway',
              keyFile: file('ec', ec.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string),
            },
            signed,
          },
          {
            issuer: pki.issuer,
            tls: { ca, cert: file('cert', own.cert), key: file('key', own.key) },
            clientAuth: { method: 'tls', clientId: 'gateway' },
            signed,
          },
          {
            issuer: shared.issuer,
            clientAuth: { method: 'client_secret_jwt', clientId: 'gateway', clientSecret: SECRET },
            signed: { required: true, jwksUrl: `${shared.issuer}/jwks` },
          },
          {
            url: form.introspectionUrl,
            clientAuth: { method: 'post', clientId: 'gateway', clientSecret: SECRET },
          },
        ],
      },
    },
  });
  const names = Object.keys(servers) as (keyof typeof servers)[];
  for (const name of names) {
    const token = await servers[name].issue();
    for (const path of names) {
      const reply = await ask(gate, `/${path}`, { token });
      t.equal(reply.status, path === name ? 200 : 401, `a token of ${name} at ${path}`, {
        log: gate.log.at(-2),
      });
    }
  }
  const jwt = 'application/token-introspection+jwt';
  const [json, metadata] = ['application/json', '/.well-known/oauth-authorization-server'];
  const first = (name: string) => [...new Set(shown.get(name))];
  t.same(first('main'), [`/token/introspection ${json} Basic -`]);
  t.same(first('assertion'), [
    `${metadata} ${json} - -`,
    `/token/introspection ${jwt} - -`,
    `/jwks ${json} - -`,
  ]);
  t.same(
    first('pki'),
    [`${metadata} ${json} - -`, `/token/introspection ${jwt} - CN=gateway.example`, `/jwks ${json} - -`],
    'the certificate is shown where it is asked for, and nowhere else',
  );
  t.same(first('shared'), [
    `${metadata} ${json} - -`,
    `/token/introspection ${jwt} - -`,
    `/jwks ${json} - -`,
  ]);
  t.same(first('form'), [`/token/introspection ${json} - -`]);
  t.notMatch(JSON.stringify(gate.log), SECRET);
});

t.test('a server that must sign and does not is a fault, and no other server’s', async (t) => {
  const main = await startProvider(t, { gateway: basic });
  const plain = await startProvider(t, { gateway: basic, signs: false });
  const clientAuth = { method: 'basic', clientId: 'gateway', clientSecret: SECRET };
  const gate = await startTestGateway(t, {
    rules: rulesFor({ main: undefined, plain: plain.issuer }),
    settings: {
      introspection: {
        url: main.introspectionUrl,
        clientAuth,
        servers: [{ issuer: plain.issuer, clientAuth, signed: { required: true } }],
      },
    },
  });
  t.equal((await ask(gate, '/plain', { token: await plain.issue() })).status, 503);
  t.match(gate.log[0], { cause: 'the introspection answer is not signed' });
  t.equal((await ask(gate, '/main', { token: await main.issue() })).status, 200);
});

t.test('answers that a real server has signed and then encrypted for the gateway', async (t) => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const [ec, next] = [1, 2].map(() => generateKeyPairSync('ec', { namedCurve: 'P-256' }));
  if (ec === undefined || next === undefined) throw new Error('no keys');
  const jwk = async (key: KeyObject, kid: string) => ({ ...(await exportJWK(key)), kid, use: 'enc' });
  const file = join(t.testdir({}), 'key');
  for (const [alg, enc, published, text] of [
    [
      'RSA-OAEP-256',
      'A256GCM',
      await jwk(rsa.publicKey, 'r'),
      rsa.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    ],
    [
      'ECDH-ES',
      'A128CBC-HS256',
      await jwk(ec.publicKey, 'old'),
      JSON.stringify({ keys: [await jwk(next.privateKey, 'new'), await jwk(ec.privateKey, 'old')] }),
    ],
    ['RSA-OAEP', 'A128GCM', await jwk(rsa.publicKey, 'r'), JSON.stringify(await exportJWK(rsa.privateKey))],
  ] as const) {
    writeFileSync(file, text);
    const provider = await startProvider(t, {
      gateway: {
        ...basic,
        ...SIGNED,
        introspection_encrypted_response_alg: alg,
        introspection_encrypted_response_enc: enc,
        jwks: { keys: [published as never] },
      },
    });
    const gate = await startTestGateway(t, {
      settings: {
        introspection: {
          url: provider.introspectionUrl,
          issuer: provider.issuer,
          clientAuth: { method: 'basic', clientId: 'gateway', clientSecret: SECRET },
          signed: { required: true, decryptionKeyFile: file },
        },
      },
    });
    t.equal((await ask(gate, '/x', { token: await provider.issue() })).status, 200, `${alg}, ${enc}`);
    t.equal((await ask(gate, '/x', { token: 'unknown' })).status, 401);
  }
});

/** The server as a client finds it. */
async function discover({ issuer }: RealProvider, more: object = {}): Promise<oauth.AuthorizationServer> {
  const url = new URL(issuer);
  const response = await oauth.discoveryRequest(url, { ...insecure, ...more, algorithm: 'oauth2' });
  return await oauth.processDiscoveryResponse(url, response);
}

/** A fetch that reaches the gateway under its name. */
function through(gate: TestGateway) {
  return async (url: string, { method, headers }: { method: string; headers: Record<string, string> }) => {
    const { pathname, search } = new URL(url);
    const reply = await ask(gate, pathname + search, { method: method as 'GET', headers });
    return new Response(reply.text, {
      status: reply.status,
      headers: reply.headers as Record<string, string>,
    });
  };
}

t.test('a token that a real server has bound to a key by DPoP', async (t) => {
  const provider = await startProvider(t, { gateway: basic });
  const gate = await startTestGateway(t, {
    settings: {
      introspection: {
        url: provider.introspectionUrl,
        clientAuth: { method: 'basic', clientId: 'gateway', clientSecret: SECRET },
      },
      proof: { dpop: { enabled: true } },
    },
  });
  const server = await discover(provider);
  const client: oauth.Client = { client_id: 'app' };
  const key = oauth.DPoP(client, await oauth.generateKeyPair('ES256'));
  const other = oauth.DPoP(client, await oauth.generateKeyPair('ES256'));
  const granted = await oauth.clientCredentialsGrantRequest(
    server,
    client,
    oauth.ClientSecretBasic(APP_SECRET),
    { scope: 'read' },
    { ...insecure, DPoP: key },
  );
  const grant = await oauth.processClientCredentialsResponse(server, client, granted);
  t.equal(grant.token_type, 'dpop');
  const call = async (by: oauth.DPoPHandle) => {
    const options = { ...insecure, DPoP: by, [oauth.customFetch]: through(gate) };
    const url = new URL('http://gate.example/headers?q=1');
    const refused = (error: unknown) => {
      if (!(error instanceof oauth.WWWAuthenticateChallengeError)) throw error;
      return error;
    };
    return (
      await oauth
        .protectedResourceRequest(grant.access_token, 'GET', url, undefined, null, options)
        .catch(refused)
    ).status;
  };
  t.equal(await call(key), 200, JSON.stringify(gate.log));
  t.equal(await call(key), 200, 'from the cache, with a proof of its own');
  t.equal(await call(other), 401, 'another key');
  t.equal((await ask(gate, '/headers', { token: grant.access_token })).status, 401, 'as a bearer token');
  t.equal(gate.upstream.received.length, 2);
});

t.test('a token that a real server has bound to a certificate', async (t) => {
  const [certificate, mine, others] = await Promise.all([
    makeCertificate(['127.0.0.1', 'gate.example']),
    makeCertificate(['client.example']),
    makeCertificate(['other.example']),
  ]);
  const agent = (pair?: typeof mine) => {
    const shown = pair === undefined ? {} : { cert: pair.cert, key: pair.key };
    const made = new Agent({ connect: { ca: certificate.ca, ...shown } });
    t.teardown(() => made.close());
    return made;
  };
  const [byMe, byOther, byNobody] = [agent(mine), agent(others), agent()];
  const { publicKey, raw } = new X509Certificate(mine.cert);
  const provider = await startProvider(t, {
    certificate,
    gateway: basic,
    app: {
      token_endpoint_auth_method: 'self_signed_tls_client_auth',
      client_secret: undefined,
      tls_client_certificate_bound_access_tokens: true,
      jwks: { keys: [{ ...(await exportJWK(publicKey)), x5c: [raw.toString('base64')] } as never] },
    },
  });
  const folder = t.testdir({ ca: certificate.ca, cert: certificate.cert, key: certificate.key });
  const [ca, cert, key] = ['ca', 'cert', 'key'].map((name) => join(folder, name));
  const gate = await startTestGateway(t, {
    settings: {
      listen: { proxy: { tls: { cert, key, clientCertificates: 'unverified' } } },
      introspection: {
        url: provider.introspectionUrl,
        tls: { ca },
        clientAuth: { method: 'basic', clientId: 'gateway', clientSecret: SECRET },
      },
    },
  });
  const granted = await request(provider.tokenUrl, {
    dispatcher: byMe,
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: 'grant_type=client_credentials&scope=read&client_id=app',
  });
  const { access_token: token } = (await granted.body.json()) as { access_token: string };
  const call = async (dispatcher: Agent) => {
    const headers = { host: 'gate.example', authorization: `Bearer ${token}` };
    const reply = await request(`${gate.url}/headers`, { dispatcher, headers });
    await reply.body.dump();
    return reply.statusCode;
  };
  t.equal(await call(byMe), 200, JSON.stringify(gate.log));
  t.equal(await call(byOther), 401);
  t.equal(await call(byNobody), 401);
  t.equal(await call(byMe), 200);
  t.equal(gate.upstream.received.length, 2);
});

t.test(
  'a token that is revoked at a real server, through the gateway, ends with the next request',
  async (t) => {
    const provider = await startProvider(t, { gateway: basic });
    const revocation = new URL(provider.revocationUrl).pathname;
    const public_ = {
      path: revocation,
      methods: ['POST'],
      accessStrategies: [{ handler: 'allow' }],
      service: { name: 'provider', port: 80 },
      scopegate: { revocation: 'observe' },
    };
    const gate = await startTestGateway(t, {
      rules: apiRule('gate.example', [rule('/headers', ['GET'], 'read'), public_]),
      settings: {
        services: { provider: provider.issuer },
        introspection: {
          url: provider.introspectionUrl,
          clientAuth: { method: 'basic', clientId: 'gateway', clientSecret: SECRET },
        },
      },
    });
    const [token, kept] = [await provider.issue(), await provider.issue()];
    const status = async (which: string) => (await ask(gate, '/headers', { token: which })).status;
    for (const each of [token, kept, token, kept]) t.equal(await status(each), 200);
    const revoke = (secret: string) =>
      ask(gate, revocation, {
        method: 'POST',
        headers: {
          'content-type': 'application/x-www-form-urlencoded',
          authorization: `Basic ${btoa(`app:${secret}`)}`,
        },
        body: `token=${token}&token_type_hint=access_token`,
      });
    t.equal((await revoke('wrong')).status, 401, 'the server refuses a stranger');
    t.equal(await status(token), 200);
    t.equal((await revoke(APP_SECRET)).status, 200);
    t.equal(await status(token), 401);
    t.equal(await status(kept), 200);
  },
);
