import { generateKeyPairSync } from 'node:crypto';
import { join } from 'node:path';
import t from 'tap';
import { loadSettings } from '../../src/config/settings.js';
import { makeCertificate } from '../stack/certificate.js';
import { MINIMAL } from './settings-setup.js';

t.test('client authentication takes its secret from a file', (t) => {
  const text = `${MINIMAL}  clientAuth: { method: basic, clientId: gate, clientSecretFile: secret }\n`;
  const file = join(t.testdir({ 's.yaml': text, secret: 'hunter2\n' }), 's.yaml');
  const { settings, findings } = loadSettings(file, {});
  t.same(findings, []);
  const auth = settings?.introspection.clientAuth;
  t.equal(auth?.method === 'basic' && auth.clientSecret.reveal(), 'hunter2');
  t.notMatch(JSON.stringify(settings), 'hunter2');
  t.end();
});

t.test('client authentication that is incomplete or at odds with itself is refused', async (t) => {
  const cases: readonly [string, string][] = [
    ['{ method: basic, clientId: gate }', 'missing-field'],
    ['{ method: post, clientSecret: hunter2 }', 'missing-field'],
    ['{ method: bearer }', 'missing-field'],
    ['{ method: basic, clientId: gate, clientSecretFile: absent }', 'unreadable-file'],
    ['{ method: basic, clientId: gate, clientSecret: hunter2, clientSecretFile: secret }', 'invalid-value'],
    ['{ clientId: gate }', 'invalid-value'],
    ['{ method: bearer, tokenFile: secret }\n  headers: { Authorization: hunter2 }', 'invalid-value'],
    ['{ method: bearer, token: hunter2, clientSecret: hunter2 }', 'invalid-value'],
    ['{ method: private_key_jwt, clientId: gate, keyFile: key }', 'missing-field'],
    ['{ method: private_key_jwt, clientId: gate, audience: as }', 'missing-field'],
    ['{ method: private_key_jwt, clientId: gate, audience: as, keyFile: absent }', 'unreadable-file'],
    ['{ method: private_key_jwt, clientId: gate, audience: as, keyFile: secret }', 'unreadable-file'],
    ['{ method: private_key_jwt, clientId: gate, audience: as, keyFile: broken }', 'unreadable-file'],
    ['{ method: private_key_jwt, clientId: gate, audience: as, keyFile: small }', 'unreadable-file'],
    [
      '{ method: private_key_jwt, clientId: gate, audience: as, keyFile: key, algorithm: RS256 }',
      'unreadable-file',
    ],
    ['{ method: private_key_jwt, clientId: gate, audience: as, keyFile: key, token: t }', 'invalid-value'],
    ['{ method: client_secret_jwt, clientId: gate, clientSecretFile: secret }', 'missing-field'],
    [
      '{ method: client_secret_jwt, clientId: gate, clientSecretFile: secret, audience: as, algorithm: none }',
      'invalid-value',
    ],
    ['{ method: tls, clientId: gate }', 'missing-field'],
    ['{ method: tls }\n  tls: { cert: cert, key: certKey }', 'missing-field'],
    ['{ method: none }\n  tls: { cert: cert }', 'missing-field'],
    ['{ method: none }\n  tls: { cert: cert, key: key }', 'unreadable-file'],
    ['{ method: none }\n  tls: { cert: secret, key: key }', 'unreadable-file'],
    ['{ method: pre_authorization, clientId: gate, clientSecretFile: secret }', 'missing-field'],
    [
      '{ method: pre_authorization, clientId: gate, clientSecretFile: secret, tokenUrl: hydra }',
      'invalid-value',
    ],
    ['{ method: none, scope: [read] }', 'invalid-value'],
    [
      '{ method: none }\n  servers: [ { url: "http://hydra:4445/admin/oauth2/introspect" } ]',
      'invalid-value',
    ],
    ['{ method: none }\n  servers: [ { issuer: "https://b" }, { issuer: "https://b/" } ]', 'invalid-value'],
    ['{ method: none }\n  servers: [ { issuer: "https://b?tenant=a" } ]', 'invalid-value'],
    ['{ method: none }\n  servers: [ { issuer: "b" } ]', 'invalid-value'],
    ['{ method: none }\n  readiness: ready', 'invalid-value'],
    ['{ method: none }\n  servers: [ { issuer: "https://b", readiness: "ftp://b" } ]', 'invalid-value'],
    [
      '{ method: none }\n  servers: [ { url: "http://b", signed: { required: true, audience: g } } ]',
      'missing-field',
    ],
    ['{ method: none }\n  servers: [ { issuer: "https://b", signed: { required: true } } ]', 'missing-field'],
    [
      '{ method: none }\n  servers: [ { issuer: "https://b", clientAuth: { method: private_key_jwt, clientId: g } } ]',
      'missing-field',
    ],
    [
      '{ method: none }\n  servers: [ { url: "http://b", clientAuth: { method: tls, clientId: g } } ]',
      'missing-field',
    ],
    [
      '{ method: none }\n  servers: [ { url: "http://b", clientAuth: { method: basic, clientId: g } } ]',
      'missing-field',
    ],
    ['{ method: none }\n  servers: [ { headers: {} } ]', 'missing-field'],
    ['{ method: none }\n  cache: { shared: { url: "redis://h" } }', 'missing-field'],
    ['{ method: none }\n  cache: { shared: { url: "http://h", keyFile: cipher } }', 'invalid-value'],
    ...[
      '',
      'run/x.sock',
      '//run/x.sock',
      '//h/run/x.sock',
      '///',
      '///x.sock?db=1',
      '///x.sock?database=one',
      '///%zz',
    ].map((rest): [string, string] => [
      `{ method: none }\n  cache: { shared: { url: "redis+unix:${rest}", keyFile: cipher } }`,
      'invalid-value',
    ]),
    [
      '{ method: none }\n  cache: { shared: { url: "redis://u:hunter2@h", keyFile: cipher } }',
      'invalid-value',
    ],
    ...(
      [
        ['', 'missing-field'],
        ['url: "redis://h", cluster: { nodes: ["redis://h"] },', 'missing-field'],
        ['cluster: {},', 'missing-field'],
        ['cluster: { nodes: ["redis://h/3"] },', 'invalid-value'],
        ['cluster: { nodes: ["redis://h", "http://i"] },', 'invalid-value'],
        ['cluster: { nodes: ["redis://h", "rediss://i"] },', 'invalid-value'],
        ['cluster: { nodes: ["redis://:hunter2@h"] },', 'invalid-value'],
        ['cluster: { nodes: ["redis://"] },', 'invalid-value'],
        ['sentinel: { nodes: ["redis://h"] },', 'missing-field'],
        ['sentinel: { nodes: ["redis://h:port"], master: m },', 'invalid-value'],
        ['sentinel: { nodes: ["redis://h"], master: m, username: hunter2 },', 'invalid-value'],
        ['sentinel: { nodes: ["redis://h"], master: m, passwordFile: absent },', 'unreadable-file'],
        ['url: "redis://h", username: hunter2,', 'invalid-value'],
      ] as const
    ).map(
      ([place, code]) =>
        [`{ method: none }\n  cache: { shared: { ${place} keyFile: cipher } }`, code] as [string, string],
    ),
    ['{ method: none }\n  cache: { shared: { url: "redis://h", keyFile: absent } }', 'unreadable-file'],
    ['{ method: none }\n  cache: { shared: { url: "redis://h", keyFile: secret } }', 'unreadable-file'],
    [
      '{ method: none }\n  cache: { shared: { url: "redis://h", keyFile: cipher, passwordFile: absent } }',
      'unreadable-file',
    ],
    [
      '{ method: none }\n  cache: { enabled: false, shared: { url: "redis://h", keyFile: cipher } }',
      'invalid-value',
    ],
    ['{ method: none }\n  signed: { required: true, audience: gate }', 'missing-field'],
    ['{ method: none }\n  issuer: https://as\n  signed: { required: true }', 'missing-field'],
    [
      '{ method: none }\n  issuer: https://as\n  signed: { required: true, audience: gate, algorithms: [HS256] }',
      'invalid-value',
    ],
    ['{ method: none }\n  issuer: "https://as?tenant=a"', 'invalid-value'],
    ['{ method: none }\n  signed: { decryptionKeyFile: key }', 'invalid-value'],
    ...['absent', 'secret', 'broken', 'small', 'signing', 'signingSet', 'cert'].map(
      (file): [string, string] => [
        `{ method: none }\n  issuer: https://as\n  signed: { required: true, audience: gate, decryptionKeyFile: ${file} }`,
        'unreadable-file',
      ],
    ),
  ];
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  const signing = generateKeyPairSync('ed25519').privateKey;
  const small = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey;
  const certificate = await makeCertificate(['gate']);
  for (const [text, code] of cases) {
    const folder = t.testdir({
      's.yaml': `${MINIMAL}  clientAuth: ${text}\n`,
      secret: 'hunter2',
      cipher: 'a'.repeat(64),
      broken: '{"kty":"EC","crv":"P-256","d":"hunter2"}',
      key: key.export({ type: 'pkcs8', format: 'pem' }),
      small: JSON.stringify(small.export({ format: 'jwk' })),
      signing: signing.export({ type: 'pkcs8', format: 'pem' }),
      signingSet: JSON.stringify({ keys: [{ ...key.export({ format: 'jwk' }), use: 'sig' }] }),
      cert: certificate.cert,
      certKey: certificate.key,
    });
    const { settings, findings } = loadSettings(join(folder, 's.yaml'), {});
    t.equal(settings, undefined, text);
    t.same(
      findings.map((finding) => finding.code),
      [code],
      text,
    );
    t.notMatch(JSON.stringify(findings), 'hunter2', text);
  }
});
