import t from 'tap';
import type { Finding } from '../../../src/document/finding.js';
import { readDocuments, type SourceDocument } from '../../../src/document/yaml.js';
import { compileApiRule, type RuleDefaults } from '../../../src/rules/apirule/apirule.js';
import { options } from '../options.js';
import { tutorialManifests } from '../tutorial.js';

const VALID = `apiVersion: gateway.kyma-project.io/v1beta1
kind: APIRule
metadata:
  name: httpbin
  namespace: demo
spec:
  gateway: kyma-system/kyma-gateway
  host: httpbin.kyma.local
  service:
    name: httpbin
    port: 8000
  rules:
    - path: /.*
      methods: [GET]
      accessStrategies:
        - handler: oauth2_introspection
          config:
            required_scope: [read]
`;

function compile(text: string, defaults: RuleDefaults = options) {
  const { documents, findings } = readDocuments(text, 'r.yaml');
  if (findings.length > 0) throw new Error(findings[0]?.message);
  return compileApiRule(documents[0] as SourceDocument, defaults);
}

function short({ line, col, level, code }: Finding): string {
  return `${line}:${col} ${level} ${code}`;
}

t.test('the manifests of the tutorial compile', (t) => {
  const [httpbin, fun] = tutorialManifests().map((text) => compile(text));
  t.same(httpbin?.findings, []);
  t.same(
    httpbin?.rules.map(({ id, source, hosts, methods, path, timeout, upstream }) => ({
      id,
      source,
      hosts,
      methods,
      path,
      timeout,
      upstream,
    })),
    [
      {
        id: 'demo/httpbin#0',
        source: 'r.yaml:13:7',
        hosts: ['httpbin.kyma.local'],
        methods: ['GET'],
        path: '/.*',
        timeout: 180_000,
        upstream: { origin: 'http://httpbin.demo:8000', authority: 'httpbin.demo:8000' },
      },
      {
        id: 'demo/httpbin#1',
        source: 'r.yaml:19:7',
        hosts: ['httpbin.kyma.local'],
        methods: ['POST'],
        path: '/post',
        timeout: 180_000,
        upstream: { origin: 'http://httpbin.demo:8000', authority: 'httpbin.demo:8000' },
      },
    ],
  );
  t.same(
    httpbin?.rules.map(({ strategies }) => strategies.map((each) => [each.handler, each.requiredScopes])),
    [[['oauth2_introspection', ['read']]], [['oauth2_introspection', ['write']]]],
  );
  t.same(fun?.findings, []);
  t.equal(fun?.rules[0]?.hosts[0], 'function-example.kyma.local');
  t.same(
    fun?.rules[0]?.upstream,
    { origin: 'http://function.demo', authority: 'function.demo' },
    'port 80 is the default',
  );
  t.end();
});

t.test('nothing is kept of a path beyond the strict default unless the rule says so', (t) => {
  const none = { encodedSlash: false, encodedPercent: false, semicolon: false, emptySegments: false };
  t.same(compile(VALID).rules[0]?.allows, none);
  const kept = `${VALID}      scopegate: { encodedSlash: keep, semicolon: keep, emptySegments: refuse }\n`;
  t.same(compile(kept).rules[0]?.allows, { ...none, encodedSlash: true, semicolon: true });
  t.end();
});

t.test('a timeout is the rule’s, else the spec’s, else the gateway’s', (t) => {
  const spec = VALID.replace('  rules:', '  timeout: 20\n  rules:');
  t.equal(compile(VALID).rules[0]?.timeout, 180_000);
  t.equal(compile(spec).rules[0]?.timeout, 20_000);
  t.equal(compile(`${spec}      timeout: 5\n`).rules[0]?.timeout, 5000);
  t.end();
});

t.test('a service is the rule’s, else the spec’s; its namespace falls back the same way', (t) => {
  const origin = (text: string) => compile(text).rules[0]?.upstream.origin;
  const own = `${VALID}      service: { name: other, port: 81 }\n`;
  t.equal(origin(own), 'http://other.demo:81');
  t.equal(origin(own.replace('port: 81', 'port: 81, namespace: own')), 'http://other.own:81');
  t.equal(origin(own.replace('port: 8000', 'port: 8000\n    namespace: spec')), 'http://other.spec:81');
  t.equal(origin(VALID.replace('  namespace: demo\n', '')), 'http://httpbin.default:8000');
  t.equal(origin(VALID.replace('port: 8000', 'port: 8000\n    external: true')), 'http://httpbin.demo:8000');
  t.end();
});

t.test('services are looked up by name and namespace, then by name, then by default', (t) => {
  const services = { 'httpbin.demo': 'https://a:1', httpbin: 'http://b:2/', default: 'http://c:3' };
  const origin = (text: string) => compile(text, { ...options, services }).rules[0]?.upstream;
  t.same(origin(VALID), { origin: 'https://a:1', authority: 'a:1' });
  t.equal(origin(VALID.replace('namespace: demo', 'namespace: x'))?.origin, 'http://b:2');
  t.equal(origin(VALID.replace('name: httpbin\n    port', 'name: x\n    port'))?.origin, 'http://c:3');
  t.end();
});

t.test('requests may name a rule’s service as their host where the settings say how', (t) => {
  const serviceHosts = ['{name}', '{name}.{namespace}', '{name}.{namespace}.svc.cluster.local'];
  const hosts = (text: string) =>
    compile(text, { ...options, domain: 'kyma.local', serviceHosts }).rules.map((rule) => rule.hosts);
  const names = (name: string, namespace: string) => [
    ...[name, `${name}.${namespace}`, `${name}.${namespace}.svc.cluster.local`],
  ];
  t.same(hosts(VALID), [['httpbin.kyma.local', ...names('httpbin', 'demo')]], 'the short one gets no domain');
  const own = `${VALID}    - { path: /b, methods: [PUT], service: { name: Other, namespace: far, port: 81 }, accessStrategies: [{ handler: allow }] }\n`;
  t.same(hosts(own)[1], ['httpbin.kyma.local', ...names('other', 'far')], 'of the rule’s own service');
  t.same(hosts(VALID.replace('host: httpbin.kyma.local', 'host: httpbin.demo'))[0], [
    ...['httpbin.demo', 'httpbin', 'httpbin.demo.svc.cluster.local'],
  ]);
  t.end();
});

t.test('a service without a place is reported once, at the service', (t) => {
  const two = `${VALID}    - { path: /b, methods: [PUT], accessStrategies: [{ handler: allow }] }\n`;
  for (const services of [{}, { default: 'ftp://{name}' }, { default: 'http://{name}/path' }] as const) {
    const { rules, findings } = compile(two, { ...options, services });
    t.same(rules, []);
    t.same(findings.map(short), ['10:5 error unknown-service']);
  }
  const { findings } = compile(VALID.replace('  service:\n    name: httpbin\n    port: 8000\n', ''));
  t.same(findings.map(short), ['10:7 error missing-field']);
  t.end();
});

t.test('hosts', (t) => {
  const host = (text: string, domain?: string) =>
    compile(
      VALID.replace('httpbin.kyma.local', text),
      domain === undefined ? options : { ...options, domain },
    );
  t.same(host('HttpBin.Kyma.LOCAL').rules[0]?.hosts, ['httpbin.kyma.local'], 'case is nothing');
  t.same(host('httpbin').rules[0]?.hosts, ['httpbin']);
  t.same(host('httpbin', 'Kyma.local').rules[0]?.hosts, ['httpbin.kyma.local']);
  t.same(host('httpbin.other', 'kyma.local').rules[0]?.hosts, ['httpbin.other']);
  t.same(host('"*.kyma.local"').rules[0]?.hosts, ['*.kyma.local']);
  t.same(host('"*"', 'kyma.local').rules[0]?.hosts, ['*'], 'any host, whatever the domain');
  t.same(host('under_score.kyma.local').findings, []);
  for (const bad of ['httpbin:80', 'http://httpbin', 'a..b', 'a.b.', '-a', 'a.*.b', 'a/b', 'a%2eb', 'é']) {
    t.same(host(bad).findings.map(short), ['8:9 error invalid-value'], bad);
  }
  t.same(host('httpbin.$DOMAIN').findings.map(short), ['8:9 error unexpanded-variable']);
  t.end();
});

t.test('methods are exact, known and forwardable', (t) => {
  const methods = (list: string) => compile(VALID.replace('[GET]', list));
  t.same(methods('[GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS]').findings, []);
  t.match(methods('[get]').findings[0], {
    line: 14,
    col: 17,
    code: 'invalid-method',
    message: /did you mean GET/,
  });
  t.match(methods('[GET, CONNECT]').findings[0], {
    line: 14,
    col: 22,
    code: 'invalid-method',
    message: /tunnel/,
  });
  t.match(methods('[TRACE]').findings[0], { code: 'invalid-method', message: /credentials/ });
  t.match(methods('[FROBNICATE]').findings[0], { code: 'invalid-method', message: /must be one of GET/ });
  t.same(methods('[GET, GET]').findings.map(short), ['14:22 error invalid-value']);
  t.same(methods('[]').findings.map(short), ['14:16 error invalid-value']);
  t.end();
});

t.test('a mutator that changes nothing is none', (t) => {
  for (const list of ['[{ handler: noop }]', '[]', '']) {
    const { rules, findings } = compile(`${VALID}      mutators: ${list}\n`);
    t.same(findings, [], list);
    t.equal(rules[0]?.mutators, undefined);
  }
  t.end();
});

t.test('the config of each handler is held to what it can do', (t) => {
  const found = (handler: string, config: string) => {
    const text = VALID.replace('oauth2_introspection', handler).replace(
      '            required_scope: [read]',
      `            ${config}`,
    );
    return compile(text).findings.map((finding) => `${short(finding)} ${finding.message}`);
  };
  const istio = 'authentications: [{ issuer: i, jwksUri: "https://a/k" }]';
  for (const [handler, config, expected] of [
    ['jwt', '{}', /must have the field "jwks_urls", "authentications", or "trusted_issuers"/],
    ['jwt', 'trusted_issuers: ["https://as.example/?x"]', /only an issuer that is an http or https URL/],
    ['jwt', 'trusted_issuers: ["https://u:p@as.example/"]', /only an issuer that is an http or https URL/],
    ['jwt', 'jwks_urls: [ftp://x]', /an http, https or file URL/],
    ['jwt', 'jwks_urls: ["https://u:p@x/"]', /an http, https or file URL/],
    ['jwt', 'jwks_urls: [https://x], allowed_algorithms: [HS256]', /HS256 is never allowed/],
    ['jwt', 'jwks_urls: [https://x], allowed_algorithms: [none]', /none is never allowed/],
    [
      'jwt',
      'jwks_urls: [https://x], allowed_algorithms: [RS257]',
      /no signature algorithm is called "RS257"/,
    ],
    ['jwt', 'jwks_urls: [https://x], scope_strategy: none, required_scope: [a]', /unchecked/],
    ['jwt', `jwks_urls: [https://x], ${istio}`, /jwks_urls cannot be combined with/],
    ['jwt', 'authorizations: [{ audiences: [a] }]', /must have the field "authentications"/],
    ['jwt', `${istio}, authorizations: [{ requiredScope: [a] }]`, /unknown field "requiredScope"/],
    ['cookie_session', '{}', /check_session_url/],
    [
      'cookie_session',
      'check_session_url: "http://x", extra_from: "a.#.b"',
      /"a.#.b" is not supported: write @this/,
    ],
    [
      'cookie_session',
      'check_session_url: "http://x", forward_http_headers: [Host]',
      /scopegate cannot forward this field, because it belongs to the connection; remove it/,
    ],
    ['bearer_token', 'check_session_url: "file:///x"', /an http or https URL/],
    ['oauth2_client_credentials', '{}', /token_url/],
    [
      'oauth2_client_credentials',
      'token_url: "http://x", retry: { give_up_after: 2m }',
      /give_up_after: must be at most 1m/,
    ],
    ['oauth2_client_credentials', 'token_url: "http://x", cache: { ttl: soon }', /a duration such as/],
  ] as const) {
    const flow = config === '{}' ? config : `{ ${config} }`;
    const text = VALID.replace('oauth2_introspection', handler).replace(
      /config:\n {12}required_scope: \[read\]/,
      `config: ${flow}`,
    );
    const findings = compile(text).findings.map((finding) => finding.message);
    t.equal(findings.length, 1, `${handler} ${config}: ${JSON.stringify(findings)}`);
    t.match(findings[0], expected);
  }
  t.same(found('jwt', 'jwks_urls: [https://x]'), []);
  t.same(found('jwt', istio), []);
  t.match(found('jwt', 'jwks_urls: [https://x, ftp://y]'), [/^18:36 error invalid-value/]);
  t.end();
});

t.test('handlers', (t) => {
  const access = (list: string) =>
    compile(
      VALID.slice(0, VALID.indexOf('        - handler')).replace(
        /accessStrategies:\n$/,
        `accessStrategies: ${list}\n`,
      ),
    );
  t.match(access('[{ handler: oauth2_introspektion }]').findings, [
    { line: 15, col: 37, code: 'unknown-handler', message: /did you mean "oauth2_introspection"/ },
  ]);
  t.match(access('[{ handler: frobnicate }]').findings, [
    { code: 'unknown-handler', message: /"frobnicate"$/ },
  ]);
  t.same(access('[{ handler: allow, config: {} }]').findings, []);
  t.same(access('[{ handler: allow, config: }]').findings, [], 'an empty config is none');
  t.same(access('[]').findings.map(short), ['15:25 error invalid-value']);
  for (const name of ['allow', 'no_auth', 'noop', 'anonymous', 'unauthorized']) {
    t.same(access(`[{ handler: ${name} }]`).findings, [], name);
    t.same(
      access(`[{ handler: ${name}, config: { a: 1 } }]`).findings.map(short).length,
      1,
      `${name} takes no config`,
    );
  }
  t.end();
});

t.test('a handler’s config is checked with exact positions', (t) => {
  const config = (text: string) => compile(VALID.replace('            required_scope: [read]', text));
  const cases: readonly [string, string][] = [
    ['            required_scop: [read]', '18:13 error unknown-field'],
    ['            required_scope: read', '18:29 error wrong-type'],
    ['            required_scope: [read, 1]', '18:36 error wrong-type'],
    ['            required_scope: [read]\n            scope_strategy: fuzzy', '19:29 error invalid-value'],
    ['            required_scope: [read]\n            scope_strategy: none', '19:29 error invalid-value'],
  ];
  for (const [text, expected] of cases) t.same(config(text).findings.map(short), [expected], text);
  t.end();
});

t.test('handlers that would undo each other are refused together', (t) => {
  const access = (...names: string[]) =>
    compile(
      VALID.slice(0, VALID.indexOf('        - handler')).replace(
        /accessStrategies:\n$/,
        `accessStrategies: [${names.map((name) => `{ handler: ${name} }`).join(', ')}]\n`,
      ),
    ).findings.map(({ code }) => code);
  for (const exclusive of ['allow', 'no_auth', 'noop']) {
    for (const other of ['oauth2_introspection', 'anonymous', 'allow', 'noop']) {
      t.same(access(exclusive, other), ['handler-combination'], `${exclusive} ${other}`);
      t.same(access(other, exclusive), ['handler-combination'], `${other} ${exclusive}`);
    }
  }
  for (const name of ['oauth2_introspection', 'bearer_token']) {
    t.same(access('anonymous', name).filter((code) => code === 'handler-combination').length, 1, name);
  }
  t.same(access('oauth2_introspection', 'anonymous'), [], 'optional authentication');
  t.same(access('oauth2_introspection', 'anonymous', 'unauthorized'), ['handler-combination']);
  t.same(access('unauthorized', 'oauth2_introspection'), ['handler-combination']);
  t.same(access('oauth2_introspection', 'oauth2_introspection'), []);
  t.same(access('anonymous', 'unauthorized'), []);
  t.end();
});

t.test('each structural error has its own place, and hides none of the others', (t) => {
  const text = `apiVersion: gateway.kyma-project.io/v1beta1
kind: APIRule
metadata:
  name: httpbin
  namspace: demo
spec:
  gatway: kyma-system/kyma-gateway
  host: [httpbin.kyma.local]
  service: { name: httpbin, port: "8000" }
  rules:
    - path: 7
      methods: [GET]
      accessStrategies: [{ handler: allow }]
    - path: /a
      methods: GET
      accessStrategies: [{ handler: allow }]
    - path: /b
      methods: [GET]
      accesStrategies: [{ handler: allow }]
    - path: /c
      methods: [GET]
      accessStrategies: [{ handler: alow }]
`;
  const { rules, findings } = compile(text);
  t.same(rules, []);
  t.same(findings.sort((a, b) => a.line - b.line).map(short), [
    '5:3 error unknown-field',
    '7:3 error unknown-field',
    '8:9 error wrong-type',
    '9:35 error wrong-type',
    '11:13 error wrong-type',
    '15:16 error wrong-type',
    '19:7 error unknown-field',
    '22:37 error unknown-handler',
  ]);
  t.end();
});

t.test('bounds of timeout, port and names', (t) => {
  const cases: readonly [string, string][] = [
    [VALID.replace('  rules:', '  timeout: 0\n  rules:'), '12:12'],
    [VALID.replace('  rules:', '  timeout: 3901\n  rules:'), '12:12'],
    [VALID.replace('  rules:', '  timeout: 1.5\n  rules:'), '12:12'],
    [VALID.replace('port: 8000', 'port: 0'), '11:11'],
    [VALID.replace('port: 8000', 'port: 65536'), '11:11'],
    [VALID.replace('name: httpbin\n    port', 'name: evil.com/x\n    port'), '10:11'],
    [VALID.replace('name: httpbin\n    port', 'name: "a@b"\n    port'), '10:11'],
    [VALID.replace('path: /.*', 'path: ""'), '13:13'],
    [VALID.replace('namespace: demo', 'namespace: $NAMESPACE'), '5:14'],
    [VALID.replace('name: httpbin\n  n', 'name: a#b\n  n'), '4:9'],
  ];
  for (const [text, place] of cases) {
    const { findings } = compile(text);
    t.equal(findings.length, 1);
    t.equal(`${findings[0]?.line}:${findings[0]?.col}`, place, text);
  }
  t.end();
});
