import { join } from 'node:path';
import t from 'tap';
import { variableName, variableNames, withEnvironment } from '../../src/config/environment.js';
import { leaves, type SettingSchema } from '../../src/config/schema.js';
import { loadSettings } from '../../src/config/settings.js';
import type { SourceDocument } from '../../src/document/yaml.js';

const start = { file: 's.yaml', line: 1, col: 1 };
const empty: SourceDocument = { file: 's.yaml', value: {}, at: () => start, keyAt: () => start };
const BASE = { SCOPEGATE_RULES: './rules', SCOPEGATE_INTROSPECTION_URL: 'http://h/' };

/** A text that a leaf takes, other than its default, and what it then holds. */
function sample(schema: SettingSchema): [text: string, value: unknown] {
  if (schema.enum !== undefined) return [schema.enum.at(-1) as string, schema.enum.at(-1)];
  switch (schema.type) {
    case 'integer':
      return ['4242', 4242];
    case 'boolean':
      return [String(!schema.default), !schema.default];
    case 'array':
      return ['[a, b]', ['a', 'b']];
    case 'object':
      return ['{ a: b }', { a: 'b' }];
    default:
      return schema.pattern === undefined ? ['text', 'text'] : ['7s', '7s'];
  }
}

function valueAt(root: unknown, path: readonly string[]): unknown {
  return path.reduce((value, step) => (value as Record<string, unknown> | undefined)?.[step], root);
}

t.test('names', (t) => {
  t.equal(variableName(['listen', 'proxy', 'port']), 'SCOPEGATE_LISTEN_PROXY_PORT');
  t.equal(variableName(['introspection', 'cache', 'ttl']), 'SCOPEGATE_INTROSPECTION_CACHE_TTL');
  t.same(variableNames(['introspection', 'clientAuth', 'clientSecretFile']), [
    'SCOPEGATE_INTROSPECTION_CLIENT_AUTH_CLIENT_SECRET_FILE',
    'SCOPEGATE_INTROSPECTION_CLIENTAUTH_CLIENT_SECRET_FILE',
    'SCOPEGATE_INTROSPECTION_CLIENT_AUTH_CLIENTSECRETFILE',
    'SCOPEGATE_INTROSPECTION_CLIENTAUTH_CLIENTSECRETFILE',
  ]);
  t.end();
});

t.test('no two leaves answer to one name', (t) => {
  const names = leaves().flatMap(({ path }) => variableNames(path));
  t.equal(new Set(names).size, names.length);
  t.end();
});

t.test('every leaf has a description, and a default unless it is optional or required', (t) => {
  const without: string[] = [];
  for (const { path, schema } of leaves()) {
    t.match(schema.description, /^\S.*\.$/, path.join('.'));
    if (schema.default === undefined) without.push(path.join('.'));
  }
  t.same(without, [
    'listen.proxy.tls.cert',
    'listen.proxy.tls.key',
    'listen.proxy.tls.ca',
    'listen.proxy.tls.clientCa',
    'listen.proxy.tls.ciphers',
    'listen.admin.tls.cert',
    'listen.admin.tls.key',
    'listen.admin.tls.ca',
    'listen.admin.tls.clientCa',
    'listen.admin.tls.ciphers',
    'rules',
    'domain',
    'introspection.url',
    'introspection.issuer',
    'introspection.readiness',
    'introspection.tls.ca',
    'introspection.tls.cert',
    'introspection.tls.key',
    'introspection.clientAuth.clientId',
    'introspection.clientAuth.clientSecret',
    'introspection.clientAuth.clientSecretFile',
    'introspection.clientAuth.keyFile',
    'introspection.clientAuth.keyId',
    'introspection.clientAuth.algorithm',
    'introspection.clientAuth.audience',
    'introspection.clientAuth.token',
    'introspection.clientAuth.tokenFile',
    'introspection.clientAuth.tokenUrl',
    'introspection.cache.shared.url',
    'introspection.cache.shared.cluster.nodes',
    'introspection.cache.shared.sentinel.nodes',
    'introspection.cache.shared.sentinel.master',
    'introspection.cache.shared.sentinel.username',
    'introspection.cache.shared.sentinel.passwordFile',
    'introspection.cache.shared.keyFile',
    'introspection.cache.shared.previousKeyFile',
    'introspection.cache.shared.username',
    'introspection.cache.shared.passwordFile',
    'introspection.cache.shared.ca',
    'introspection.signed.jwksUrl',
    'introspection.signed.audience',
    'introspection.signed.decryptionKeyFile',
    'proof.dpop.nonce.secretFile',
    'kyma.jwtScopeStrategy',
    'kyma.idToken.issuerUrl',
    'kyma.idToken.jwksUrl',
    'forward.tls.ca',
    'forward.tls.cert',
    'forward.tls.key',
    'admin.tokenFile',
    'tracing.endpoint',
    'tracing.serviceName',
    'log.pretty',
  ]);
  t.end();
});

t.test('every leaf can be set, under each of its names', (t) => {
  for (const { path, schema } of leaves()) {
    const [text, value] = sample(schema);
    for (const name of variableNames(path)) {
      const { document, findings } = withEnvironment(empty, { [name]: text });
      t.same(findings, []);
      t.same(valueAt(document.value, path), value, name);
      t.equal(document.at(path).file, `env:${name}`);
    }
  }
  t.end();
});

t.test('the environment wins over the file and leaves its neighbours alone', (t) => {
  const text = 'rules: [r]\nintrospection: { url: "http://h/", cache: { ttl: 1m, negativeTtl: 3s } }\n';
  const file = join(t.testdir({ 's.yaml': text }), 's.yaml');
  const { settings } = loadSettings(file, { SCOPEGATE_INTROSPECTION_CACHE_TTL: '9s' });
  t.equal(settings?.introspection.cache.ttl, 9000);
  t.equal(settings?.introspection.cache.negativeTtl, 3000);
  t.end();
});

t.test('the environment alone suffices', (t) => {
  const file = join(t.testdir({ 's.yaml': '', secret: 'hunter2\n' }), 's.yaml');
  const { settings, findings } = loadSettings(file, {
    ...BASE,
    SCOPEGATE_SERVICES: '{"httpbin": "http://127.0.0.1:8000"}',
    SCOPEGATE_TRUSTED_PROXIES: '10.0.0.0/8, 192.168.0.0/16',
    SCOPEGATE_INTROSPECTION_CLIENT_AUTH_METHOD: 'basic',
    SCOPEGATE_INTROSPECTION_CLIENT_AUTH_CLIENT_ID: 'gate',
    SCOPEGATE_INTROSPECTION_CLIENT_AUTH_CLIENT_SECRET_FILE: 'secret',
  });
  t.same(findings, []);
  t.same(settings?.services, { httpbin: 'http://127.0.0.1:8000' });
  t.same(settings?.trustedProxies, ['10.0.0.0/8', '192.168.0.0/16']);
  t.equal(settings?.introspection.clientAuth.method, 'basic');
  t.end();
});

t.test('a value that does not fit is reported at its variable', (t) => {
  const file = join(t.testdir({ 's.yaml': '' }), 's.yaml');
  const cases: readonly [string, string, string][] = [
    ['SCOPEGATE_LISTEN_PROXY_PORT', 'http', 'wrong-type'],
    ['SCOPEGATE_LISTEN_PROXY_PORT', '70000', 'invalid-value'],
    ['SCOPEGATE_LOG_AUDIT', 'yes', 'wrong-type'],
    ['SCOPEGATE_INTROSPECTION_CACHE_TTL', '60', 'invalid-value'],
    ['SCOPEGATE_MATCHING_OVERLAP', 'maybe', 'invalid-value'],
    ['SCOPEGATE_SERVICES', '[a]', 'wrong-type'],
    ['SCOPEGATE_SERVICES', '{ a: ', 'yaml-syntax'],
    ['SCOPEGATE_SERVICES', '{ a: http://a/b }', 'invalid-value'],
    ['SCOPEGATE_TRUSTED_PROXIES', 'everyone', 'invalid-value'],
    ['SCOPEGATE_REALM', '', 'invalid-value'],
  ];
  for (const [name, text, code] of cases) {
    const { settings, findings } = loadSettings(file, { ...BASE, [name]: text });
    t.equal(settings, undefined, name);
    t.equal(findings[0]?.file, `env:${name}`);
    t.equal(findings[0]?.code, code, `${name}=${text}`);
  }
  t.end();
});

t.test('an unknown variable is an error with the name it may have meant', (t) => {
  const { findings } = withEnvironment(empty, {
    SCOPEGATE_LISTEN_PROXI_PORT: '1',
    HOME: '/',
    SCOPEGATEX: '1',
  });
  t.equal(findings.length, 1);
  t.match(findings[0], {
    file: 'env:SCOPEGATE_LISTEN_PROXI_PORT',
    line: 1,
    col: 1,
    code: 'unknown-variable',
  });
  t.match(findings[0]?.message, 'did you mean SCOPEGATE_LISTEN_PROXY_PORT?');
  t.end();
});

t.test('one setting under two names is an error', (t) => {
  const { findings } = withEnvironment(empty, {
    SCOPEGATE_INTROSPECTION_CLIENT_AUTH_CLIENT_ID: 'a',
    SCOPEGATE_INTROSPECTION_CLIENTAUTH_CLIENT_ID: 'b',
  });
  t.same(
    findings.map(({ code }) => code),
    ['duplicate-variable'],
  );
  t.end();
});

t.test('the variables of a Kubernetes Service called scopegate are no settings', (t) => {
  const { document, findings } = withEnvironment(empty, {
    SCOPEGATE_SERVICE_HOST: '10.0.0.1',
    SCOPEGATE_SERVICE_PORT: '4455',
    SCOPEGATE_SERVICE_PORT_PROXY: '4455',
    SCOPEGATE_PORT: 'tcp://10.0.0.1:4455',
    SCOPEGATE_PORT_4455_TCP: 'tcp://10.0.0.1:4455',
    SCOPEGATE_PORT_4455_TCP_PROTO: 'tcp',
    SCOPEGATE_PORT_4455_TCP_PORT: '4455',
    SCOPEGATE_PORT_4455_TCP_ADDR: '10.0.0.1',
    SCOPEGATE_ADMIN_SERVICE_HOST: '10.0.0.2',
    SCOPEGATE_ADMIN_PORT: 'tcp://10.0.0.2:4456',
  });
  t.same(findings, []);
  t.same(document.value, {});
  t.end();
});

t.test('secrets in variables stay out of findings', (t) => {
  const file = join(t.testdir({ 's.yaml': '' }), 's.yaml');
  const { findings } = loadSettings(file, {
    ...BASE,
    SCOPEGATE_INTROSPECTION_CLIENT_AUTH_CLIENT_SECRET: 'hunter2',
    SCOPEGATE_INTROSPECTION_HEADERS: 'hunter2',
    SCOPEGATE_HUNTER: 'hunter2',
  });
  t.ok(findings.length >= 2);
  t.notMatch(JSON.stringify(findings), 'hunter2');
  t.end();
});
