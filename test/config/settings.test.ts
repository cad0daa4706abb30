import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import t from 'tap';
import { mutators } from '../../src/auth/mutators/table.js';
import { handlers } from '../../src/auth/strategies/table.js';
import { clientSchema } from '../../src/commands/clients/schema.js';
import { accessRuleSchema } from '../../src/commands/convert/schema.js';
import { settingsSchema } from '../../src/config/schema.js';
import { loadSettings } from '../../src/config/settings.js';
import type { Finding } from '../../src/document/finding.js';
import * as rules from '../../src/rules/apirule/schema.js';
import { root } from '../root.js';
import { MINIMAL } from './settings-setup.js';

function short({ line, col, level, code }: Finding): string {
  return `${line}:${col} ${level} ${code}`;
}

t.test('two settings suffice; all others have their defaults', (t) => {
  const file = join(t.testdir({ 'settings.yaml': MINIMAL }), 'settings.yaml');
  const { settings, findings } = loadSettings(file, {});
  t.same(findings, []);
  const { inForce: _, ...values } = settings ?? {};
  t.same(values, {
    file,
    listen: {
      proxy: { host: '0.0.0.0', port: 4455, reusePort: false },
      admin: { host: '127.0.0.1', port: 4456 },
    },
    rules: [join(file, '..', 'rules')],
    services: { default: 'http://{name}:{port}' },
    realm: 'scopegate',
    trustedProxies: [],
    resources: [],
    introspection: {
      url: 'http://hydra:4445/admin/oauth2/introspect',
      discovered: false,
      readiness: { url: 'http://hydra:4445/health/ready', derived: true },
      scopeStrategy: 'exact',
      timeout: 2000,
      connectTimeout: 1000,
      maxResponseBytes: 262_144,
      concurrency: 128,
      queue: 1024,
      retries: 1,
      leeway: 0,
      headers: {},
      requireContentType: true,
      tls: {},
      clientAuth: { method: 'none' },
      servers: [],
      cache: {
        enabled: true,
        ttl: 60_000,
        negativeTtl: 5000,
        refreshBefore: 0,
        maxEntries: 100_000,
        maxBytes: 67_108_864,
        negativeMaxEntries: 10_000,
      },
      flood: { badTokens: 0, per: 60_000, maxClients: 10_000 },
      breaker: { failures: 5, openFor: 5000 },
    },
    proof: {
      dpop: {
        enabled: false,
        algorithms: [
          ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
          ...['PS256', 'PS384', 'PS512', 'RS256', 'RS384', 'RS512'],
        ],
        maxAge: 60_000,
        leeway: 5_000,
        maxProofs: 100_000,
        maxProofsPerKey: 10_000,
        replays: 'shared',
        nonce: { required: false, lifetime: 300_000 },
      },
      certificateField: 'none',
    },
    matching: { overlap: 'error', serviceHosts: [] },
    kyma: { jwksUrls: [], trustedIssuers: [], extAuthorizers: [], unserved: 'refuse' },
    enforcement: 'enforce',
    forward: {
      timeout: 180_000,
      connectTimeout: 5000,
      idleTimeout: 60_000,
      maxBodyBytes: 0,
      maxHeaderBytes: 16_384,
      maxResponseHeaderBytes: 65_536,
      maxTargetBytes: 8192,
      host: 'upstream',
      fieldEncoding: 'utf-8',
      webSockets: true,
      webSocketMaxAge: 3_600_000,
      via: 'scopegate',
      connections: 256,
      queueTimeout: 2000,
      longExchanges: 1024,
      requestBuffer: 65_536,
      identityFields: { remove: [], keep: [] },
      tls: { upstreams: [], insecureSkipVerify: false },
    },
    server: {
      headersTimeout: 10_000,
      keepAliveTimeout: 65_000,
      bodyIdleTimeout: 30_000,
      minBodyRate: 240,
      pipelining: 1,
      maxConnections: 0,
      maxStreams: 100,
      maxInFlight: 4_096,
      maxEventLoopDelay: 200,
      clientShare: { connections: 0, inFlight: 0, longExchanges: 0 },
      drainGrace: 1_000,
      drainTimeout: 30_000,
    },
    tracing: { sample: 1 },
    reload: { watch: true, poll: 30_000, timeout: 60_000, maxBytes: 33_554_432 },
    decisions: {
      prefix: '/decisions',
      describedBy: 'any',
      identity: { 'X-User': 'sub', 'X-Scope': 'scope', 'X-Client-Id': 'client_id' },
    },
    admin: { hosts: [] },
    log: { level: 'info', audit: true, sampleAllowed: 1, levels: 'numbers', times: 'epoch' },
  });
  t.end();
});

t.test('the sample of the documentation is valid', (t) => {
  const sample = `
listen:
  proxy: { host: 0.0.0.0, port: 4455 }
  admin: { host: 127.0.0.1, port: 4456 }
rules: [ ./rules ]
services:
  default: "http://{name}.{namespace}.svc.cluster.local:{port}"
  httpbin: http://127.0.0.1:8000
introspection:
  url: http://hydra:4445/admin/oauth2/introspect
  scopeStrategy: hierarchic
  timeout: 2s
  clientAuth: { method: none }
  cache: { ttl: 60s, negativeTtl: 5s, maxEntries: 100000 }
matching:
  overlap: specific
`;
  const { settings, findings } = loadSettings(join(t.testdir({ 's.yaml': sample }), 's.yaml'), {});
  t.same(findings, []);
  t.equal(settings?.introspection.scopeStrategy, 'hierarchic');
  t.equal(settings?.services.httpbin, 'http://127.0.0.1:8000');
  t.equal(settings?.services.default, 'http://{name}.{namespace}.svc.cluster.local:{port}');
  t.end();
});

t.test('JSON is read as well', (t) => {
  const text = JSON.stringify({ rules: ['/r'], introspection: { url: 'http://h/' } });
  const { settings } = loadSettings(join(t.testdir({ 's.json': text }), 's.json'), {});
  t.same(settings?.rules, ['/r'], 'absolute paths stay');
  t.end();
});

t.test('tracing is on where the file or the variables of OpenTelemetry name a collector', (t) => {
  const file = (tracing: string) =>
    join(t.testdir({ 's.yaml': `${MINIMAL}${tracing === '' ? '' : `tracing: ${tracing}\n`}` }), 's.yaml');
  const endpoint = (tracing: string, environment: Record<string, string>) => {
    const { settings, findings } = loadSettings(file(tracing), environment);
    return settings === undefined ? findings[0]?.message : settings.tracing.endpoint;
  };
  const base = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4318/' };
  const exact = { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://d/traces' };
  const off = { OTEL_SDK_DISABLED: 'true' };
  t.equal(endpoint('', {}), undefined);
  t.equal(endpoint('', base), 'http://c:4318/v1/traces');
  t.equal(endpoint('', { ...base, ...exact }), 'http://d/traces');
  t.equal(endpoint('', { ...base, ...off }), undefined);
  t.equal(endpoint('{ endpoint: "http://e/x" }', { ...base, ...exact, ...off }), 'http://e/x');
  t.equal(
    endpoint('', { OTEL_EXPORTER_OTLP_ENDPOINT: 'c:4318' }),
    'OTEL_EXPORTER_OTLP_ENDPOINT must be an http or https URL',
  );
  t.equal(endpoint('{ endpoint: "e" }', {}), 'tracing.endpoint must be an http or https URL');
  t.end();
});

t.test('every violation has its line and column', (t) => {
  const cases: readonly [string, string, string][] = [
    ['unknown key', `${MINIMAL}matchin: { overlap: error }\n`, '4:1 error unknown-field'],
    ['unknown nested key', `${MINIMAL}  cahce: {}\n`, '4:3 error unknown-field'],
    ['wrong type', `${MINIMAL}listen:\n  proxy: { port: "80" }\n`, '5:18 error wrong-type'],
    ['out of range', `${MINIMAL}listen: { proxy: { port: 70000 } }\n`, '4:26 error invalid-value'],
    ['no duration', `${MINIMAL}  timeout: 2\n`, '4:12 error wrong-type'],
    ['bad duration', `${MINIMAL}  timeout: 2sec\n`, '4:12 error invalid-value'],
    ['overlong duration', `${MINIMAL}  timeout: 9999h\n`, '4:12 error invalid-value'],
    ['no limit at all', `${MINIMAL}  timeout: 0s\n`, '4:12 error invalid-value'],
    ['unknown choice', `${MINIMAL}  scopeStrategy: fuzzy\n`, '4:18 error invalid-value'],
    ['missing rules', 'introspection: { url: http://h/ }\n', '1:1 error missing-field'],
    ['empty rules', 'rules: []\nintrospection: { url: http://h/ }\n', '1:8 error invalid-value'],
    ['missing url', 'rules: [ r ]\nintrospection:\n  timeout: 2s\n', '3:3 error missing-field'],
    ['duplicate key', `${MINIMAL}rules: [ other ]\n`, '4:1 error duplicate-key'],
    ['no URL', 'rules: [ r ]\nintrospection: { url: hydra }\n', '2:23 error invalid-value'],
    [
      'credentials in the URL',
      'rules: [ r ]\nintrospection: { url: "http://u:p@h/" }\n',
      '2:23 error invalid-value',
    ],
    ['service with a path', `${MINIMAL}services:\n  a: http://a/b\n`, '5:6 error invalid-value'],
    [
      'service hosts without the name',
      `${MINIMAL}matching: { serviceHosts: [a] }\n`,
      '4:28 error invalid-value',
    ],
    [
      'service hosts with a port',
      `${MINIMAL}matching: { serviceHosts: ["{name}:80"] }\n`,
      '4:28 error invalid-value',
    ],
    [
      'service hosts by the port',
      `${MINIMAL}matching: { serviceHosts: ["{name}.{port}"] }\n`,
      '4:28 error invalid-value',
    ],
    [
      'service hosts with a wildcard',
      `${MINIMAL}matching: { serviceHosts: ["*.{name}"] }\n`,
      '4:28 error invalid-value',
    ],
    ['unknown placeholder', `${MINIMAL}services: { a: "http://{host}:80" }\n`, '4:16 error invalid-value'],
    ['no network', `${MINIMAL}trustedProxies: [ 10.0.0.0/8, 10.0.0.0/33 ]\n`, '4:31 error invalid-value'],
    ['one port for two', `${MINIMAL}listen: { admin: { port: 4455 } }\n`, '4:26 error invalid-value'],
    ['header of two lines', `${MINIMAL}  headers: { x-a: "b\\nc" }\n`, '4:19 error invalid-value'],
    ['header that frames', `${MINIMAL}  headers: { Content-Length: "5" }\n`, '4:30 error invalid-value'],
    ['header twice', `${MINIMAL}  headers: { x-a: b, X-A: c }\n`, '4:27 error invalid-value'],
    ['realm with a quotation mark', `${MINIMAL}realm: 'a"b'\n`, '4:8 error invalid-value'],
    [
      'absent certificate',
      `${MINIMAL}listen: { proxy: { tls: { cert: a, key: b } } }\n`,
      '4:33 error unreadable-file',
    ],
    [
      'refreshed after its end',
      `${MINIMAL}  cache: { ttl: 5s, refreshBefore: 5s }\n`,
      '4:36 error invalid-value',
    ],
    [
      'refreshed without a cache',
      `${MINIMAL}  cache: { enabled: false, refreshBefore: 5s }\n`,
      '4:43 error invalid-value',
    ],
    ['two documents', `${MINIMAL}---\nrules: []\n`, '5:1 error invalid-value'],
  ];
  for (const [name, text, expected] of cases) {
    const file = join(t.testdir({ 's.yaml': text }), 's.yaml');
    const { settings, findings } = loadSettings(file, {});
    t.equal(settings, undefined, name);
    t.equal(findings[0] && short(findings[0]), expected, name);
  }
  t.end();
});

t.test('all violations are found in one run, in order', (t) => {
  const text = 'rules: 1\nintrospection:\n  url: http://h/\n  retries: many\nlog: { level: loud }\n';
  const { findings } = loadSettings(join(t.testdir({ 's.yaml': text }), 's.yaml'), {});
  t.same(findings.map(short), ['1:8 error wrong-type', '4:12 error wrong-type', '5:15 error invalid-value']);
  t.end();
});

t.test('the store can be a cluster, or what sentinels name; the page’s examples are settings', (t) => {
  const page = readFileSync(join(root, 'docs/introspection.md'), 'utf8');
  const examples = [...page.matchAll(/```yaml\n(introspection:\n {2}cache:\n {4}shared:[^`]+)```/g)].map(
    ([, text = '']) => text,
  );
  const places = examples.map((text) => {
    const folder = t.testdir({
      's.yaml': `rules: [r]\n${text.replace('\n', '\n  url: "http://as"\n')}`,
      'shared.key': 'a'.repeat(64),
      'store.password': 'hunter2',
      'sentinel.password': 'hunter3',
    });
    const { settings, findings } = loadSettings(join(folder, 's.yaml'), {});
    t.same(findings, [], text);
    const shared = settings?.introspection.cache.shared;
    t.notMatch(JSON.stringify(shared), 'hunter');
    return { place: shared?.place, own: shared?.password?.reveal() };
  });
  const [sentinel, cluster] = places;
  t.match(sentinel, { place: { kind: 'sentinel', master: 'mymaster', database: 0 }, own: 'hunter2' });
  t.equal(sentinel?.place?.kind === 'sentinel' && sentinel.place.password?.(), 'hunter3');
  const required = t.testdir({ 's.yaml': `${MINIMAL}proof: { dpop: { replays: required } }\n` });
  t.match(loadSettings(join(required, 's.yaml'), {}).findings, [{ code: 'missing-field', line: 4 }]);
  t.match(cluster, { place: { kind: 'cluster', nodes: { length: 3 } }, own: undefined });
  t.equal(places.length, 2);
  t.end();
});

t.test('a file that cannot be read says why', (t) => {
  const folder = t.testdir({ folder: {}, 'latin1.yaml': Buffer.from([0x72, 0xe9]) });
  for (const [name, why] of [
    ['absent', 'does not exist'],
    ['folder', 'is a folder, not a file'],
    ['latin1.yaml', 'UTF-8'],
  ] as const) {
    const { findings } = loadSettings(join(folder, name), {});
    t.equal(findings[0]?.code, 'unreadable-file');
    t.match(findings[0]?.message, why);
  }
  t.end();
});

const shipped = new URL('../../../config/settings.schema.json', import.meta.url);

t.test('the schema that ships is the one that validates', (t) => {
  t.same(JSON.parse(readFileSync(shipped, 'utf8')), settingsSchema, 'renew with: npm run docs');
  t.end();
});

t.test('it is a valid draft-07 schema, and each default fits its own leaf', (t) => {
  const ajv = new Ajv({ strict: true });
  t.ok(ajv.validateSchema(settingsSchema));
  const visit = (schema: typeof settingsSchema, path: string): void => {
    if (schema.default !== undefined) t.ok(ajv.validate({ ...schema }, schema.default), path);
    for (const [key, child] of Object.entries(schema.properties ?? {})) visit(child, `${path}.${key}`);
  };
  visit(settingsSchema, '');
  t.end();
});

t.test('all other schemas are valid, too: nothing checks them again when they are used', (t) => {
  const schemas: [string, object][] = [
    ['OAuth2Client', clientSchema],
    ["Oathkeeper's rule", accessRuleSchema],
    ...[...handlers].map(([name, { schema }]): [string, object] => [name, schema]),
    ...[...mutators].map(([name, { schema }]): [string, object] => [name, schema]),
    ...Object.entries(rules).filter(
      (entry): entry is [string, Exclude<(typeof entry)[1], string>] => typeof entry[1] === 'object',
    ),
  ];
  t.ok(schemas.length > 15, `${schemas.length} schemas`);
  for (const [name, schema] of schemas) t.ok(new Ajv().validateSchema(schema), name);
  t.end();
});
