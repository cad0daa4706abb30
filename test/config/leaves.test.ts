import { generateKeyPairSync, KeyObject } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type Leaf, leaves } from '../../src/config/schema.js';
import { Secret } from '../../src/config/secret.js';
import { canReusePort } from '../../src/config/sections/listen.js';
import { loadSettings } from '../../src/config/settings.js';
import { formatFinding } from '../../src/document/finding.js';
import { makeCertificate } from '../stack/certificate.js';

type Tree = Readonly<Record<string, unknown>>;

/** A value of a leaf, and what the section around it needs so that the leaf is of use. */
type Trial = readonly [value: unknown, section?: Tree];

const IDENTITY = { cert: 'cert', key: 'key' };
const BASIC = { method: 'basic', clientId: 'a', clientSecretFile: 'secret' };
const INLINE = { method: 'basic', clientId: 'a', clientSecret: 'a' };
const ASSERTION = { method: 'private_key_jwt', clientId: 'a', audience: 'a', keyFile: 'key' };
const HMAC = { ...INLINE, method: 'client_secret_jwt', audience: 'a' };
const GRANT = { ...INLINE, method: 'pre_authorization', tokenUrl: 'http://a/' };
const SIGNED = { required: true, audience: 'a' };
const STORE = { url: 'redis://a', keyFile: 'cipher' };
const SENTINEL = { nodes: ['redis://a'], master: 'a' };

/** Prefixes the leaves of a section with its path. */
function inside(section: string, trials: Readonly<Record<string, Trial>>): Record<string, Trial> {
  return Object.fromEntries(Object.entries(trials).map(([leaf, trial]) => [`${section}.${leaf}`, trial]));
}

const LISTENER: Readonly<Record<string, Trial>> = {
  cert: ['certCopy', IDENTITY],
  key: ['keyCopy', IDENTITY],
  ca: ['cert', IDENTITY],
  certificates: [[IDENTITY], IDENTITY],
  clientCertificates: ['unverified', IDENTITY],
  clientCa: ['certCopy', { ...IDENTITY, clientCertificates: 'required', clientCa: 'cert' }],
  minVersion: ['TLSv1.3', IDENTITY],
  ciphers: ['HIGH', IDENTITY],
  insecureOlderClients: [true, IDENTITY],
};
const CLIENT: Readonly<Record<string, Trial>> = {
  cert: ['certCopy', IDENTITY],
  key: ['keyCopy', IDENTITY],
  ca: ['cert'],
};

/** How leaves are tried that need a value of a certain form; all others get one by their schema alone. */
const TRIALS: Readonly<Record<string, Trial>> = {
  'matching.serviceHosts': [['{name}.{namespace}']],
  ...inside('listen.proxy.tls', LISTENER),
  ...inside('listen.admin.tls', LISTENER),
  services: [{ default: 'http://a' }],
  'kyma.jwksUrls': [['http://a/']],
  'kyma.idToken.issuerUrl': ['b', { issuerUrl: 'a', jwksUrl: 'file:///a' }],
  'kyma.idToken.jwksUrl': ['file:///b', { issuerUrl: 'a', jwksUrl: 'file:///a' }],
  'kyma.extAuthorizers': [[{ name: 'a', url: 'http://a' }]],
  trustedProxies: [['10.0.0.0/8']],
  resources: [[{ resource: 'https://a', authorizationServers: ['https://b'] }]],
  ...inside('introspection', {
    url: ['http://b/'],
    issuer: ['http://b/'],
    readiness: ['http://b/'],
    servers: [[{ url: 'http://b/' }]],
  }),
  ...inside('introspection.tls', CLIENT),
  ...inside('introspection.clientAuth', {
    method: ['post', BASIC],
    clientId: ['b', BASIC],
    clientSecret: ['b', INLINE],
    clientSecretFile: ['secretOther', BASIC],
    keyFile: ['keyOther', ASSERTION],
    keyId: ['b', ASSERTION],
    algorithm: ['HS512', HMAC],
    audience: ['b', ASSERTION],
    token: ['b', { method: 'bearer', token: 'a' }],
    tokenFile: ['secretOther', { method: 'bearer', tokenFile: 'secret' }],
    tokenUrl: ['http://b/', GRANT],
    scope: [['b'], GRANT],
  }),
  ...inside('introspection.signed', {
    required: [true, { audience: 'a' }],
    jwksUrl: ['http://b/', SIGNED],
    audience: ['b', SIGNED],
    decryptionKeyFile: ['key', SIGNED],
    algorithms: [['RS256'], SIGNED],
  }),
  ...inside('introspection.cache.shared', {
    url: ['redis://b', STORE],
    keyFile: ['cipherOther', STORE],
    previousKeyFile: ['cipherOther', STORE],
    username: ['b', { ...STORE, passwordFile: 'secret' }],
    passwordFile: ['secret', STORE],
    ca: ['cert', STORE],
    prefix: ['b', STORE],
    timeout: ['7s', STORE],
    wait: ['7s', STORE],
    'cluster.nodes': [['redis://b'], { nodes: ['redis://a'] }],
  }),
  ...inside('introspection.cache.shared.sentinel', {
    nodes: [['redis://b'], SENTINEL],
    master: ['b', SENTINEL],
    database: [1, SENTINEL],
    username: ['b', { ...SENTINEL, passwordFile: 'secret' }],
    passwordFile: ['secret', SENTINEL],
  }),
  'proof.dpop.algorithms': [['ES256']],
  'proof.dpop.replays': ['own'],
  'proof.dpop.nonce.secretFile': ['long'],
  'forward.tls.upstreams': [[{ origin: 'https://a:1' }]],
  ...inside('forward.tls', CLIENT),
  'decisions.prefix': ['/ask'],
  'admin.tokenFile': ['secret'],
  'tracing.endpoint': ['http://a/'],
};

/** What else the file must hold for a leaf, by the beginnings of its name. */
const BESIDE: Readonly<Record<string, Tree>> = {
  'introspection.signed': { introspection: { url: 'http://as/', issuer: 'https://as' } },
  'introspection.cache.shared.cluster': within('introspection.cache.shared', { keyFile: 'cipher' }),
  'introspection.cache.shared.sentinel': within('introspection.cache.shared', { keyFile: 'cipher' }),
};

function within(section: string, values: Tree): Tree {
  return put({ introspection: { url: 'http://as/' } }, section.split('.'), values);
}

/** A copy of `tree` with a value at a path. */
function put(tree: Tree, path: readonly string[], value: unknown): Tree {
  const [step = '', ...rest] = path;
  return { ...tree, [step]: rest.length === 0 ? value : put((tree[step] ?? {}) as Tree, rest, value) };
}

/** A value that the schema of a leaf allows, other than its default. */
function sample({ schema }: Leaf): unknown {
  if (schema.enum !== undefined) return schema.enum.find((value) => value !== schema.default);
  switch (schema.type) {
    case 'integer':
      return Number(schema.default) + 7;
    case 'number':
      return 0.5;
    case 'boolean':
      return schema.default !== true;
    case 'array':
      return ['b'];
    case 'object':
      return { 'X-B': 'b' };
    default:
      return schema.pattern === undefined ? 'b' : '7s';
  }
}

/** Settings in a form that shows what secrets and keys hold. */
function opened(value: unknown): unknown {
  if (value instanceof Secret) return value.reveal();
  if (value instanceof KeyObject) return value.export({ format: 'jwk' });
  if (typeof value === 'function') return opened(value());
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return value;
  if (Array.isArray(value)) return value.map(opened);
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, opened(each)]));
}

t.test('every leaf of the schema makes a difference to what the gateway gets', async (t) => {
  const { cert, key } = await makeCertificate(['a']);
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const folder = t.testdir({
    ...{ cert, certCopy: cert, key, keyCopy: key },
    keyOther: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    ...{ secret: 'a', secretOther: 'b', long: 'a'.repeat(32) },
    ...{ cipher: 'a'.repeat(64), cipherOther: 'b'.repeat(64) },
  });
  const file = join(folder, 's.yaml');
  const load = (tree: Tree, name: string): unknown => {
    writeFileSync(file, JSON.stringify(tree));
    const { settings, findings } = loadSettings(file, {});
    t.same(findings.map(formatFinding), [], `${name}: ${JSON.stringify(tree)}`);
    return opened(settings);
  };
  for (const leaf of leaves()) {
    const name = leaf.path.join('.');
    // reuse-port.test.ts tries it, whatever Node can do.
    if (name === 'listen.proxy.reusePort' && !canReusePort(process.versions.node)) continue;
    const [value, section] = TRIALS[name] ?? [sample(leaf)];
    const [, beside] = Object.entries(BESIDE).find(([prefix]) => name.startsWith(`${prefix}.`)) ?? [];
    const minimal = { introspection: { url: 'http://as/' }, ...beside, rules: ['a'] };
    const without = section === undefined ? minimal : put(minimal, leaf.path.slice(0, -1), section);
    t.strictNotSame(load(put(without, leaf.path, value), name), load(without, name), name);
  }
  t.end();
});

t.test('a leaf that is tried in a way of its own is there', (t) => {
  const names = new Set(leaves().map(({ path }) => path.join('.')));
  for (const name of Object.keys(TRIALS)) t.ok(names.has(name), name);
  t.end();
});
