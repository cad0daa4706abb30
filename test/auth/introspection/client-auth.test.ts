import { generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { decodeJwt, decodeProtectedHeader, exportJWK } from 'jose';
import t, { type Test } from 'tap';
import { ask } from '../../ask.js';
import { apiRule, startTestGateway } from '../../gateway.js';
import type { IntrospectionEndpoint } from '../../introspection.js';
import { makeCertificate } from '../../stack/certificate.js';
import { SECRET, start } from './client-auth-setup.js';
import { startProvider } from './provider.js';

const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ed = generateKeyPairSync('ed25519');

function folderOf(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'scopegate-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  return folder;
}

const pem = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }) as string;

/** The client assertion of one call. */
function assertionOf({ requests }: IntrospectionEndpoint, index = -1) {
  const form = new URLSearchParams(requests.at(index)?.body);
  const jwt = form.get('client_assertion') ?? '';
  return { form, jwt, header: decodeProtectedHeader(jwt), claims: decodeJwt(jwt) };
}

t.test('private_key_jwt and client_secret_jwt are taken by a real authorization server', async (t) => {
  const folder = folderOf(t);
  const file = join(folder, 'key');
  for (const [key, text, alg] of [
    [rsa, pem(rsa.privateKey), 'RS256'],
    [rsa, pem(rsa.privateKey), 'PS256'],
    [ec, ec.privateKey.export({ type: 'sec1', format: 'pem' }) as string, 'ES256'],
    [ed, JSON.stringify({ ...(await exportJWK(ed.privateKey)), kid: 'of-the-jwk' }), 'EdDSA'],
  ] as const) {
    writeFileSync(file, text);
    const server = await startProvider(t, {
      gateway: {
        token_endpoint_auth_method: 'private_key_jwt',
        jwks: {
          keys: [{ ...(await exportJWK(key.publicKey)), alg, use: 'sig', kid: 'of-the-jwk' } as never],
        },
      },
    });
    const gate = await startTestGateway(t, {
      settings: {
        introspection: {
          url: server.introspectionUrl,
          clientAuth: {
            method: 'private_key_jwt',
            clientId: 'gateway',
            keyFile: file,
            audience: server.issuer,
            algorithm: alg,
          },
        },
      },
    });
    for (let i = 0; i < 2; i++) {
      t.equal((await ask(gate, '/x', { token: await server.issue() })).status, 200, `${alg}, call ${i}`);
    }
    t.equal((await ask(gate, '/x', { token: 'unknown' })).status, 401);
  }
  const server = await startProvider(t, {
    gateway: { token_endpoint_auth_method: 'client_secret_jwt', client_secret: SECRET },
  });
  const clientAuth = {
    method: 'client_secret_jwt',
    clientId: 'gateway',
    clientSecret: SECRET,
    audience: server.issuer,
  };
  const settings = { introspection: { url: server.introspectionUrl, clientAuth } };
  const gate = await startTestGateway(t, { settings });
  t.equal((await ask(gate, '/x', { token: await server.issue() })).status, 200);
});

t.test('an assertion says who, for whom and until when, and no two are the same', async (t) => {
  const file = join(folderOf(t), 'key.pem');
  writeFileSync(file, pem(ec.privateKey));
  const { gate, clock } = await start(t, {
    clientAuth: {
      method: 'private_key_jwt',
      clientId: 'gateway',
      keyFile: file,
      keyId: 'k1',
      audience: 'https://as.example',
    },
    // The first answer breaks: the retry must not show the same assertion again.
    retries: 1,
  });
  gate.endpoint.fault = ({ socket }) => {
    gate.endpoint.fault = undefined;
    socket.destroy();
  };
  t.equal((await ask(gate, '/x', { token: 'good-read' })).status, 200);
  t.equal(gate.endpoint.requests.length, 2);
  const first = assertionOf(gate.endpoint, 0);
  const second = assertionOf(gate.endpoint);
  t.not(first.claims.jti, second.claims.jti, 'not even in a retry');
  t.same(second.header, { alg: 'ES256', kid: 'k1' });
  const now = Math.floor(clock.wall());
  t.match(second.claims, {
    iss: 'gateway',
    sub: 'gateway',
    aud: 'https://as.example',
    iat: now,
    exp: now + 60,
    jti: /^[0-9a-f-]{36}$/,
  });
  t.equal(second.form.get('client_id'), 'gateway');
  t.equal(second.form.get('client_assertion_type'), 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer');
  t.equal(second.form.has('client_secret'), false);
  t.notMatch(JSON.stringify(gate.log), first.jwt);
});

t.test('a rotated key signs from then on; a file that breaks leaves the last key', async (t) => {
  const file = join(folderOf(t), 'key');
  writeFileSync(file, JSON.stringify({ ...(await exportJWK(ec.privateKey)), kid: 'old' }));
  const clientAuth = { method: 'private_key_jwt', clientId: 'gateway', keyFile: file, audience: 'as' };
  const { gate } = await start(t, { clientAuth, cache: { enabled: false } });
  const used = async (): Promise<unknown> => {
    t.equal((await ask(gate, '/x', { token: 'good-read' })).status, 200);
    return assertionOf(gate.endpoint).header.kid;
  };
  t.equal(await used(), 'old');
  writeFileSync(file, JSON.stringify({ ...(await exportJWK(rsa.privateKey)), kid: 'the new one' }));
  t.equal(await used(), 'the new one');
  t.equal(assertionOf(gate.endpoint).header.alg, 'RS256');
  writeFileSync(file, 'half a key');
  t.equal(await used(), 'the new one');
});

t.test('mutual TLS: the certificate proves the client, and is read anew when it changes', async (t) => {
  const folder = folderOf(t);
  const [server, one, other] = await Promise.all([
    makeCertificate(['127.0.0.1']),
    makeCertificate(['gateway.example']),
    makeCertificate(['stranger.example']),
  ]);
  const files = { ca: join(folder, 'ca'), cert: join(folder, 'cert'), key: join(folder, 'key') };
  const show = ({ cert, key }: typeof one): void => {
    writeFileSync(files.cert, cert);
    writeFileSync(files.key, key);
  };
  writeFileSync(files.ca, server.ca);
  show(one);
  const x5c = one.cert.replace(/-----[A-Z ]+-----|\s/g, '');
  const { publicKey } = new X509Certificate(one.cert);
  const shown: (string | undefined)[] = [];
  const provider = await startProvider(t, {
    certificate: server,
    gateway: {
      token_endpoint_auth_method: 'self_signed_tls_client_auth',
      jwks: { keys: [{ ...(await exportJWK(publicKey)), x5c: [x5c] } as never] },
    },
    tap: ({ socket }, response) => {
      shown.push((socket as TLSSocket).getPeerX509Certificate()?.subject);
      // Certificates count for new connections.
      response.shouldKeepAlive = false;
    },
  });
  const { gate } = await start(t, {
    url: provider.introspectionUrl,
    tls: files,
    clientAuth: { method: 'tls', clientId: 'gateway' },
    cache: { enabled: false },
    breaker: { failures: 0 },
    concurrency: 1,
  });
  const token = await provider.issue();
  t.equal((await ask(gate, '/x', { token })).status, 200);
  t.same(shown, ['CN=gateway.example']);
  show(other);
  const refused = await ask(gate, '/x', { token });
  t.equal(refused.status, 503);
  t.equal(shown.at(-1), 'CN=stranger.example');
  t.equal(
    refused.headers['www-authenticate'],
    undefined,
    'the server’s "401" to the gateway is none to the client',
  );
  show(one);
  t.equal((await ask(gate, '/x', { token })).status, 200);

  const handler = 'oauth2_introspection';
  const config = { introspection_url: provider.introspectionUrl };
  const path = { path: '/second', methods: ['GET'], accessStrategies: [{ handler, config }] };
  const rules = apiRule('gate.example', [path]);
  const second = {
    url: provider.introspectionUrl,
    tls: files,
    clientAuth: { method: 'tls', clientId: 'gateway' },
  };
  const between = await startTestGateway(t, { rules, settings: { introspection: { servers: [second] } } });
  t.equal((await ask(between, '/second', { token })).status, 200, 'as one of several servers');
  t.equal(shown.at(-1), 'CN=gateway.example');
  const bare = await startTestGateway(t, { rules, settings: { introspection: { tls: { ca: files.ca } } } });
  t.equal((await ask(bare, '/second', { token })).status, 503);
  t.equal(shown.at(-1), undefined, 'a server that only a rule names is shown no certificate');
});
