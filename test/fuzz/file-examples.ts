import { globRule, oathkeeper, regexpRule } from './example-oathkeeper.js';
import { exported, SECRET, v1beta1, v2 } from './example-rules.js';

/** What a command reads: the files of one folder by name, and how to call the command in that folder. */
export interface Example {
  readonly name: string;
  /**
   * Plain data, written as JSON, which is YAML; or text that is written as it is. `FOLDER` in it stands for the folder's
   * path.
   */
  readonly files: Readonly<Record<string, unknown>>;
  /** The file that a case changes. */
  readonly changed: string;
  readonly args: readonly string[];
}

const settings = {
  listen: {
    proxy: { host: '127.0.0.1', port: 4455, reusePort: false },
    admin: { host: '127.0.0.1', port: 4456 },
  },
  rules: ['./rules.yaml'],
  services: { default: 'http://{name}.{namespace}:{port}', orders: 'http://127.0.0.1:8000' },
  domain: 'example.com',
  realm: 'r',
  trustedProxies: ['10.0.0.0/8', '::1/128'],
  resources: [
    {
      resource: 'https://orders.example.com/',
      authorizationServers: ['https://issuer.example.com'],
      documentation: 'https://docs.example.com',
    },
  ],
  introspection: {
    url: 'http://hydra:4445/admin/oauth2/introspect',
    scopeStrategy: 'exact',
    timeout: '2s',
    leeway: '1s',
    headers: { 'X-A': 'b' },
    clientAuth: { method: 'basic', clientId: 'c', clientSecretFile: 'secret.txt' },
    servers: [
      {
        url: 'http://other:4445/introspect',
        clientAuth: {
          method: 'private_key_jwt',
          clientId: 'c',
          keyFile: 'key.json',
          audience: 'https://a.example',
        },
      },
    ],
    cache: {
      ttl: '60s',
      maxEntries: 10,
      shared: {
        url: 'redis://127.0.0.1:6379/1',
        keyFile: 'store.txt',
        passwordFile: 'secret.txt',
        prefix: 'p',
        timeout: '50ms',
      },
    },
    breaker: { failures: 5, openFor: '5s' },
    flood: { badTokens: 5, per: '1m' },
  },
  proof: {
    dpop: {
      enabled: true,
      algorithms: ['ES256'],
      maxAge: '60s',
      nonce: { required: true, lifetime: '5m', secretFile: 'store.txt' },
    },
    certificateField: 'none',
  },
  matching: { overlap: 'error', serviceHosts: ['{name}.{namespace}'] },
  kyma: {
    jwksUrls: ['https://dex.example.com/keys'],
    trustedIssuers: ['https://dex.example.com'],
    idToken: { issuerUrl: 'https://gateway.example.com/', jwksUrl: 'file://FOLDER/id-token.json' },
    extAuthorizers: [
      { name: 'opa', url: 'http://opa:8181/', timeout: '1s', includeRequestHeadersInCheck: ['x-a'] },
    ],
    unserved: 'refuse',
  },
  enforcement: 'enforce',
  forward: {
    timeout: '180s',
    maxBodyBytes: 10,
    via: 'scopegate',
    identityFields: { remove: ['X-Acme-*'], keep: ['X-B'] },
    tls: { upstreams: [{ origin: 'https://orders:8443', insecureSkipVerify: true }] },
  },
  decisions: { prefix: '/decisions', identity: { 'X-User': 'sub' } },
  admin: { hosts: ['admin.example.com'], tokenFile: 'secret.txt' },
  server: { headersTimeout: '10s', clientShare: { connections: 5 } },
  tracing: { endpoint: 'http://collector:4318/v1/traces', sample: 0.5 },
  reload: { watch: true, poll: '30s', timeout: '20s' },
  log: { level: 'info', sampleAllowed: 0.5 },
};

const plain = {
  rules: ['./rules.yaml'],
  introspection: { url: 'http://hydra:4445/admin/oauth2/introspect' },
  kyma: { extAuthorizers: [{ name: 'opa', url: 'http://opa:8181/' }] },
};

const key = {
  kty: 'EC',
  crv: 'P-256',
  x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU',
  y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0',
  d: 'jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI',
  kid: 'a',
  alg: 'ES256',
  use: 'sig',
};

/** RFC 7515 A.3 has this key; it is nobody's secret. */
const keys = { keys: [key] };
const store = '0123456789abcdef'.repeat(4);
const simple = {
  ...v1beta1,
  spec: {
    ...v1beta1.spec,
    rules: [{ path: '/a', methods: ['GET'], accessStrategies: [{ handler: 'noop' }] }],
  },
};

const withSettings = {
  'settings.yaml': settings,
  'rules.yaml': simple,
  'secret.txt': SECRET,
  'store.txt': store,
  'key.json': key,
  'id-token.json': keys,
};
const withRules = { 'settings.yaml': plain, 'rules.yaml': v1beta1 };
const check = ['check', '--config', 'settings.yaml'];

const cases = {
  cases: [
    {
      name: 'readers may read',
      request: 'GET https://orders.example.com/orders/1',
      scope: 'orders.read',
      aud: ['https://orders.example.com'],
      iss: 'https://issuer.example.com',
      sub: 'somebody',
      client_id: 'shop',
      claims: { tenant: 'north', acr: 'urn:example:mfa', auth_time: 1, cnf: { jkt: 'x' }, exp: 1, iat: 1 },
      expect: 200,
      rule: 'shop/orders#0',
    },
    { request: 'POST http://orders.example.com/jwt/a', expect: 'deny' },
  ],
};

/** The examples that are changed; together they have every kind of file that commands read. */
export const EXAMPLES: readonly Example[] = [
  { name: 'settings', files: withSettings, changed: 'settings.yaml', args: check },
  { name: 'v1beta1', files: withRules, changed: 'rules.yaml', args: check },
  { name: 'v2', files: { ...withRules, 'rules.yaml': v2 }, changed: 'rules.yaml', args: check },
  { name: 'export', files: { ...withRules, 'rules.yaml': exported }, changed: 'rules.yaml', args: check },
  {
    name: 'explain',
    files: { ...withRules, 'claims.json': '' },
    changed: 'rules.yaml',
    args: [
      'explain',
      '--config',
      'settings.yaml',
      'GET',
      'https://orders.example.com/orders/1',
      '--scope',
      'orders.read',
    ],
  },
  {
    name: 'cases',
    files: { ...withRules, 'cases.yaml': cases },
    changed: 'cases.yaml',
    args: ['test', '--config', 'settings.yaml', 'cases.yaml'],
  },
  { name: 'signing keys', files: withSettings, changed: 'id-token.json', args: check },
  { name: 'client key', files: withSettings, changed: 'key.json', args: check },
  {
    name: 'convert cluster',
    files: { 'export.yaml': exported },
    changed: 'export.yaml',
    args: ['convert', 'export.yaml'],
  },
  {
    name: 'convert rule',
    files: { 'rule.yaml': v1beta1 },
    changed: 'rule.yaml',
    args: ['convert', 'rule.yaml'],
  },
  {
    name: 'convert oathkeeper',
    files: { 'rules.json': [regexpRule] },
    changed: 'rules.json',
    args: ['convert', 'rules.json'],
  },
  {
    name: 'convert globs',
    files: { 'rules.json': [globRule] },
    changed: 'rules.json',
    args: ['convert', '--glob', '--hosts', 'a.example.com,b.example.com', 'rules.json'],
  },
  {
    name: 'convert configuration',
    files: { 'oathkeeper.yml': oathkeeper, 'rules.json': [regexpRule] },
    changed: 'oathkeeper.yml',
    args: ['convert', '--config', 'oathkeeper.yml', 'rules.json'],
  },
  {
    name: 'convert ConfigMap',
    files: {
      'map.yaml': {
        apiVersion: 'v1',
        kind: 'List',
        items: [
          {
            kind: 'ConfigMap',
            metadata: { name: 'm' },
            data: { 'rules.json': JSON.stringify([regexpRule]) },
          },
          {
            kind: 'Rule',
            apiVersion: 'oathkeeper.ory.sh/v1alpha1',
            metadata: { name: 'x', namespace: 'y' },
            spec: regexpRule,
          },
        ],
      },
    },
    changed: 'map.yaml',
    args: ['convert', 'map.yaml'],
  },
];
