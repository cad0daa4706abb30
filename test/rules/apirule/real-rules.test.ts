import t from 'tap';
import { ask } from '../../ask.js';
import { fakeClock } from '../../clock.js';
import { startTestGateway } from '../../gateway.js';
import { startIssuer } from '../../jwks.js';
import { options } from '../options.js';
import { introspection, JWT, load, rule, v1beta1, v2 } from './real-files-setup.js';

t.test('an open rule that Kyma never asked is a warning', (t) => {
  const guarded = rule('/.*', ['GET'], introspection('read'));
  for (const handler of ['no_auth', 'allow']) {
    const hidden = load(t, v1beta1([guarded, rule('/purge', ['POST'], { handler })]));
    t.match(
      hidden.lines,
      [/^r\.yaml:21:7 warning kyma-shadowed-rule depot\/parcels: POST \/purge: .*with 404;/],
      handler,
    );
    t.ok(hidden.table?.find('parcels.example', 'POST', '/purge'));
  }
  const first = load(t, v1beta1([rule('/purge', ['POST'], { handler: 'no_auth' }), guarded]));
  t.same(first.lines, [], 'the first one was asked');
  const between = load(
    t,
    v1beta1([
      rule('/purge', ['POST'], { handler: 'no_auth' }),
      guarded,
      rule('/purge', ['PUT'], { handler: 'no_auth' }),
    ]),
  );
  t.match(between.lines, [/PUT \/purge: Kyma dropped this rule/]);
  const asked = load(t, v1beta1([guarded, rule('/purge', ['GET'], { handler: 'no_auth' })]), {
    overlap: 'specific',
  });
  t.match(asked.lines, [/kyma-shadowed-rule .*decided by a rule that asks for a credential/]);
  t.end();
});

t.test('what Kyma did with two rules of one path is not told the wrong way round', (t) => {
  const { lines } = load(
    t,
    v1beta1([rule('/list', ['GET'], introspection('read')), rule('/list', ['POST'], { handler: 'allow' })]),
  );
  t.equal(lines.length, 1, 'Kyma never asked the second one: it exposed no method');
  t.match(lines[0], /kyma-shadowed-rule .*POST \/list.*404/);
  t.end();
});

t.test('a rule of version 2 that lies inside an earlier one was never asked', (t) => {
  const rules = [
    { path: '/*', methods: ['GET'], jwt: JWT },
    { path: '/metrics', methods: ['GET'], noAuth: true },
  ];
  t.match(load(t, v2(rules), { overlap: 'specific' }).lines, [
    /kyma-shadowed-rule .*\/metrics: Kyma let the earlier/,
  ]);
  t.same(load(t, v2([...rules].reverse()), { overlap: 'specific' }).lines, []);
  t.end();
});

t.test('a rule of version 2 is not said to be denied where a third rule decided', (t) => {
  const preflight = { path: '/api/{**}', methods: ['OPTIONS'], noAuth: true };
  const api = { path: '/api/{**}', methods: ['GET', 'POST'], jwt: JWT };
  const page = { path: '/{**}', methods: ['GET', 'OPTIONS'], noAuth: true };
  t.same(load(t, v2([preflight, api, page]), { overlap: 'specific' }).lines, []);
  t.match(load(t, v2([preflight, page]), { overlap: 'specific' }).lines, [
    /kyma-excluded-path .*Kyma denied GET \/api\//,
  ]);
  t.match(
    load(t, v2([preflight, { ...api, path: '/api/v1/{**}' }, page]), { overlap: 'specific' }).lines,
    [/kyma-excluded-path .*Kyma denied GET \/api\//],
    'a third rule for some of the paths does not decide about the others',
  );
  t.end();
});

t.test('a rule without a credential behind a stricter one was refused by Kyma, whatever their order', (t) => {
  const strict = rule('/.*', ['GET'], introspection('read'));
  for (const handler of ['noop', 'anonymous']) {
    const open = rule('/public/.*', ['GET', 'POST'], { handler });
    for (const order of [
      [strict, open],
      [open, strict],
    ]) {
      t.match(
        load(t, v1beta1(order), { overlap: 'specific' }).lines.filter((line) => line.includes('kyma')),
        [
          /kyma-shadowed-rule .*: GET \/public\/\.\*: in Kyma, the rule \/\.\* at r\.yaml.*500; here this rule lets everyone in/,
        ],
        handler,
      );
    }
    const other = rule('/public/.*', ['POST'], { handler });
    t.same(load(t, v1beta1([strict, other]), { overlap: 'specific' }).lines, [], 'another method was let in');
    const inside = rule('/public/secret', ['GET'], introspection('read'));
    t.notMatch(
      load(t, v1beta1([open, inside]), { overlap: 'specific' }).lines.join('\n'),
      /kyma-shadowed-rule/,
      'the stricter one decides where it matches',
    );
  }
  t.end();
});

t.test('a short host without a domain is a warning that names the setting', (t) => {
  const rules = [rule('/list', ['GET'], { handler: 'noop' })];
  t.match(load(t, v1beta1(rules, { host: 'parcels' })).lines, [
    /^r\.yaml:8:9 warning short-host .*the host parcels has no dot.*set domain/,
  ]);
  t.same(load(t, v1beta1(rules, { host: 'parcels' }), { domain: 'kyma.example' }).lines, []);
  t.same(load(t, v1beta1(rules, { host: 'localhost' })).lines, [], 'every machine has this one');
  t.end();
});

t.test('a contained overlap says which setting settles it, and how', (t) => {
  const { lines } = load(
    t,
    v2([
      { path: '/health', methods: ['GET'], noAuth: true },
      { path: '/*', methods: ['GET'], jwt: JWT },
    ]),
  );
  t.match(lines, [
    /\/health lies inside \/\*: with matching\.overlap: specific, \/health would decide there$/,
  ]);
  const partial = v2([
    { path: '/{*}/b', methods: ['GET'], noAuth: true },
    { path: '/a/{*}', methods: ['GET'], noAuth: true },
  ]);
  t.match(load(t, partial).lines, [/change their paths or methods so that no request matches both$/]);
  t.end();
});

t.test('x-forwarded-host of the rule’s own host is a warning, of another one an error', (t) => {
  const withHost = (host: string): object =>
    v1beta1([
      {
        ...rule('/list', ['GET'], { handler: 'noop' }),
        mutators: [{ handler: 'header', config: { headers: { 'x-forwarded-host': host } } }],
      },
    ]);
  t.match(load(t, withHost('parcels.example')).lines, [/warning needless-header .*remove the field/]);
  t.match(load(t, withHost('other.example')).lines, [
    /error invalid-value .*scopegate sets it itself; remove it/,
  ]);
  const modified = { path: '/list', methods: ['GET'], noAuth: true };
  const headers = { 'x-forwarded-host': 'parcels.example', 'x-own': 'a' };
  const { table, lines } = load(t, v2([{ ...modified, request: { headers } }]));
  t.match(lines, [/warning needless-header .*spec\.rules\.0\.request\.headers\.x-forwarded-host/]);
  t.same([...(table?.rules[0]?.mutators?.writes.headers ?? [])], ['x-own']);
  t.end();
});

t.test(
  'a star is read as Kyma read it: all methods of allow, no method of others, all paths of Istio',
  (t) => {
    const all = load(t, v1beta1([rule('/.*', ['*'], { handler: 'allow' })]));
    t.same(all.lines, []);
    t.equal(all.table?.rules[0]?.methods.length, 7);
    t.match(load(t, v1beta1([rule('/.*', ['*'], { handler: 'noop' })])).lines, [
      /:15:11 error invalid-method .*list the methods that clients need/,
    ]);
    const istio = load(t, v1beta1([rule('/*', ['GET'], { handler: 'jwt', config: JWT })]));
    t.match(istio.lines, [/warning glob-path .*\/\* is read as \/\.\*/]);
    t.ok(istio.table?.find('parcels.example', 'GET', '/a/b'));
    const plain = load(t, v1beta1([rule('/*', ['GET'], introspection('read'))]));
    for (const path of ['/a/.*', '/a/\\d*', '/a/[^/]*', '/a(/.*)?', '/a*b']) {
      t.same(load(t, v1beta1([rule(path, ['GET'], introspection('read'))])).lines, [], path);
    }
    t.match(plain.lines, [/warning glob-path .*did you mean \/\.\*\?/]);
    t.equal(plain.table?.find('parcels.example', 'GET', '/a/b'), undefined);
    t.end();
  },
);

t.test('a token behind a prefix of its own is read where Kyma read it', async (t) => {
  const clock = fakeClock();
  const issuer = await startIssuer(clock.wall);
  const key = await issuer.makeKey('k', 'ES256');
  t.teardown(() => issuer.close());
  const authentication = { issuer: 'https://as.example', jwksUri: issuer.url };
  const from = (path: string, name: string, prefix: string): object => ({
    path,
    methods: ['GET'],
    jwt: { authentications: [{ ...authentication, fromHeaders: [{ name, prefix }] }] },
  });
  const gate = await startTestGateway(t, {
    rules: JSON.stringify(
      v2([
        from('/kyma', 'X-JWT-Assertion', 'Kyma '),
        from('/bearer', 'X-JWT-Assertion', 'Bearer '),
        from('/own', 'Authorization', 'JwtToken '),
        from('/equals', 'X-JWT-Assertion', 'token='),
      ]),
    ),
    clock,
  });
  const token = await issuer.sign(key, 'k', { iss: 'https://as.example' }, { alg: 'ES256' });
  const status = async (path: string, headers: Record<string, string>): Promise<number> =>
    (await ask(gate, path, { host: 'parcels.example', headers })).status;
  t.equal(await status('/kyma', { 'x-jwt-assertion': `Kyma ${token}` }), 200);
  t.equal(await status('/kyma', { 'x-jwt-assertion': token }), 401);
  t.equal(await status('/kyma', { authorization: `Bearer ${token}` }), 401);
  t.equal(await status('/bearer', { 'x-jwt-assertion': `Bearer ${token}` }), 200);
  t.equal(await status('/own', { authorization: `JwtToken ${token}` }), 200);
  t.equal(await status('/own', { authorization: `Bearer ${token}` }), 401);
  t.equal(await status('/equals', { 'x-jwt-assertion': `token=${token}` }), 200);
  t.equal(await status('/equals', { 'x-jwt-assertion': `other=${token}` }), 401);
  t.equal(await status('/equals', { 'x-jwt-assertion': `token=${token}, token=${token}` }), 400);
});

t.test('what the cluster said for all rules of jwt and id_token can be said here', (t) => {
  const guarded = rule('/list', ['GET'], { handler: 'jwt', config: { required_scope: ['a.b'] } });
  t.match(load(t, v1beta1([guarded])).lines, [/:19:13 error invalid-value .*"jwks_urls".*kyma\.jwksUrls/]);
  const { handlers } = options;
  const jwt = { keyUrls: ['https://as.example/keys'], trustedIssuers: ['https://as.example'] };
  const { table, lines } = load(t, v1beta1([guarded]), {
    handlers: { ...handlers, jwt: { ...jwt, scopeStrategy: 'wildcard' } },
  });
  t.same(lines, []);
  t.match(table?.rules[0]?.strategies[0], {
    keySources: [{ issuers: ['https://as.example'], urls: ['https://as.example/keys'] }],
  });
  const signed = {
    ...guarded,
    ...rule('/list', ['GET'], introspection('a')),
    mutators: [{ handler: 'id_token' }],
  };
  t.match(load(t, v1beta1([signed])).lines, [/warning temporary-signing-key .*set kyma\.idToken/]);
  const idToken = { issuerUrl: 'https://gate.example', jwksUrl: 'file:///no/such/keys.json' };
  t.match(load(t, v1beta1([signed]), { idToken }).lines, [/mutators\.0\.config\.jwks_url/], 'it is used');
  t.end();
});
