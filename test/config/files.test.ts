import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { run as check } from '../../src/commands/check.js';
import { run as convert } from '../../src/commands/convert.js';
import { run as test } from '../../src/commands/test.js';
import { readSecret } from '../../src/config/secret.js';
import { loadSettings, type Settings } from '../../src/config/settings.js';
import { formatFinding } from '../../src/document/finding.js';
import { Recorder } from '../commands/io.js';
import { apiRule } from '../gateway.js';
import { makeCertificate } from '../stack/certificate.js';

const BOM = Buffer.from('\ufeff');
const certificate = await makeCertificate(['gate.example']);
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const PEM = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
const JWK = JSON.stringify(privateKey.export({ format: 'jwk' }));
const SIGNED = { required: true, jwksUrl: 'https://as.example/jwks', audience: 'gate' };
const basic = { method: 'basic', clientId: 'c', clientSecretFile: 'file' };

/** Each setting that names a file, with what is in it, and where what was read of it can be seen. */
const FILES: Readonly<Record<string, readonly [settings: object, content: string, read?: Read]>> = {
  clientSecretFile: [
    { introspection: { clientAuth: basic } },
    's3cret\n',
    ({ introspection: { clientAuth } }) => 'clientSecret' in clientAuth && clientAuth.clientSecret.reveal(),
  ],
  tokenFile: [
    { introspection: { clientAuth: { method: 'bearer', tokenFile: 'file' } } },
    't0ken',
    ({ introspection: { clientAuth } }) => 'token' in clientAuth && clientAuth.token.reveal(),
  ],
  'admin.tokenFile': [{ admin: { tokenFile: 'file' } }, 'adm1n', ({ admin }) => admin.token?.reveal()],
  'nonce.secretFile': [
    { proof: { dpop: { nonce: { secretFile: 'file' } } } },
    'x'.repeat(32),
    ({ proof }) => proof.dpop.nonce.secret?.reveal(),
  ],
  'keyFile, PEM': [
    {
      introspection: {
        clientAuth: { method: 'private_key_jwt', clientId: 'c', audience: 'a', keyFile: 'file' },
      },
    },
    PEM,
  ],
  'keyFile, JWK': [
    {
      introspection: {
        clientAuth: { method: 'private_key_jwt', clientId: 'c', audience: 'a', keyFile: 'file' },
      },
    },
    JWK,
  ],
  decryptionKeyFile: [
    { introspection: { issuer: 'https://as.example', signed: { ...SIGNED, decryptionKeyFile: 'file' } } },
    JWK,
  ],
  'shared.keyFile': [
    { introspection: { cache: { shared: { url: 'redis://r', keyFile: 'file' } } } },
    Buffer.alloc(32, 7).toString('base64'),
    ({ introspection: { cache } }) => cache.shared?.keys[0]().toString('base64'),
  ],
  'shared.passwordFile': [
    { introspection: { cache: { shared: { url: 'redis://r', keyFile: 'key', passwordFile: 'file' } } } },
    'pa55word',
    ({ introspection: { cache } }) => cache.shared?.password?.reveal(),
  ],
  'listen.proxy.tls.key': [{ listen: { proxy: { tls: { cert: 'crt', key: 'file' } } } }, certificate.key],
  'listen.proxy.tls.cert': [
    { listen: { proxy: { tls: { cert: 'file', key: 'key.pem' } } } },
    certificate.cert,
  ],
  'listen.proxy.tls.clientCa': [
    {
      listen: {
        proxy: { tls: { cert: 'crt', key: 'key.pem', clientCertificates: 'optional', clientCa: 'file' } },
      },
    },
    certificate.ca,
  ],
  'shared.ca': [
    { introspection: { cache: { shared: { url: 'rediss://r', keyFile: 'key', ca: 'file' } } } },
    certificate.ca,
  ],
  'introspection.tls.ca': [{ introspection: { tls: { ca: 'file' } } }, certificate.ca],
  'forward.tls.ca': [{ forward: { tls: { ca: 'file' } } }, certificate.ca],
  'forward.tls.key': [{ forward: { tls: { cert: 'crt', key: 'file' } } }, certificate.key],
};

type Read = (settings: Settings) => unknown;

function load(t: Test, settings: object, content: Buffer) {
  const folder = t.testdir({
    crt: certificate.cert,
    'key.pem': certificate.key,
    key: Buffer.alloc(32).toString('hex'),
    file: content,
  });
  const file = join(folder, 'settings.yaml');
  const base = { rules: ['r'], introspection: { url: 'http://h/i' } };
  const { introspection = {}, ...more } = settings as { introspection?: object };
  writeFileSync(
    file,
    JSON.stringify({ ...base, ...more, introspection: { ...base.introspection, ...introspection } }),
  );
  return loadSettings(file, {});
}

t.test('a byte order mark at the beginning of a file is no part of what it holds', async (t) => {
  for (const [name, [settings, content, read]] of Object.entries(FILES)) {
    const plain = load(t, settings, Buffer.from(content));
    const marked = load(t, settings, Buffer.concat([BOM, Buffer.from(content)]));
    t.same(marked.findings.map(formatFinding), [], name);
    t.ok(marked.settings, name);
    if (read !== undefined && plain.settings !== undefined && marked.settings !== undefined) {
      t.equal(read(marked.settings), read(plain.settings), name);
      t.equal(read(marked.settings), content.trim(), name);
    }
  }
});

t.test('a file that is not UTF-8 is an error at start, with the place of its setting', async (t) => {
  const odd = {
    'Latin-1': Buffer.from('tr\xe9ub4dor'.padEnd(40, 'x'), 'latin1'),
    'UTF-16, as PowerShell writes it': Buffer.from('\ufefftroub4dor'.padEnd(40, 'x'), 'utf16le'),
    'half a character': Buffer.concat([Buffer.from('troub4dor'.padEnd(40, 'x')), Buffer.from([0xc3])]),
  };
  for (const [name, [settings]] of Object.entries(FILES)) {
    for (const [kind, bytes] of Object.entries(odd)) {
      const { settings: loaded, findings } = load(t, settings, bytes);
      t.equal(loaded, undefined, `${name}: ${kind}`);
      const [first = ''] = findings.map(formatFinding);
      // Certificates and their keys have their own words; nothing outside of their lines counts.
      if (!/tls|ca$/.test(name)) t.match(first, /file is not UTF-8 text$/, name);
      t.notMatch(first, /ub4dor/, 'nothing of what it holds');
    }
  }
});

t.test('a comment of a certificate file may be in any encoding', async (t) => {
  const comment = Buffer.from('# Autorit\xe9 de certification\n', 'latin1');
  const content = Buffer.concat([comment, Buffer.from(certificate.ca)]);
  t.same(load(t, { forward: { tls: { ca: 'file' } } }, content).findings, []);
});

t.test('an invisible character within a secret is refused', async (t) => {
  const folder = t.testdir({ twice: '\ufeff\ufeffs3cret', inside: 's3\ufeffcret' });
  for (const name of ['twice', 'inside']) t.throws(() => readSecret(join(folder, name)), /control|invisible/);
});

t.test('a rotated secret with a mark counts, one that is not UTF-8 leaves the last value', async (t) => {
  const folder = t.testdir({ secret: 'old' });
  const secret = readSecret(join(folder, 'secret'));
  writeFileSync(join(folder, 'secret'), '\ufeffnew-one\n');
  t.equal(secret.reveal(), 'new-one');
  writeFileSync(join(folder, 'secret'), Buffer.from('n\xe9west-one', 'latin1'));
  t.equal(secret.reveal(), 'new-one');
});

t.test('settings, rules, cases and access rules may begin with a mark, and must be UTF-8', async (t) => {
  const rules = apiRule('gate.example', [
    { path: '/a', methods: ['GET'], accessStrategies: [{ handler: 'no_auth' }] },
  ]);
  const settings = 'rules: [ ./rules.yaml ]\nintrospection: { url: "http://h/i" }\n';
  const cases = 'cases: [ { request: GET http://gate.example/a, expect: 200 } ]\n';
  const access = JSON.stringify([
    {
      id: 'a',
      match: { url: 'http://gate.example/a', methods: ['GET'] },
      upstream: { url: 'http://up' },
      authenticators: [{ handler: 'noop' }],
      authorizer: { handler: 'allow' },
      mutators: [{ handler: 'noop' }],
    },
  ]);
  const marked = t.testdir({
    'settings.yaml': `\ufeff${settings}`,
    'rules.yaml': `\ufeff${rules}`,
    'cases.yaml': `\ufeff${cases}`,
    'access.json': `\ufeff${access}`,
  });
  const at = (name: string) => join(marked, name);
  const io = new Recorder();
  t.equal(await check(['--config', at('settings.yaml')], io), 0, io.stderr);
  t.equal(await test(['--config', at('settings.yaml'), at('cases.yaml')], io), 0, io.stderr);
  t.equal(await convert([at('access.json')], io), 0, io.stderr);
  for (const name of ['cases.yaml', 'access.json']) {
    writeFileSync(at(name), Buffer.from('- \xe9', 'latin1'));
    const told = new Recorder();
    const code =
      name === 'cases.yaml'
        ? await test(['--config', at('settings.yaml'), at(name)], told)
        : await convert([at(name)], told);
    t.equal(code, 1);
    t.match(told.stderr, /unreadable-file .*is not UTF-8 text/);
  }
});
