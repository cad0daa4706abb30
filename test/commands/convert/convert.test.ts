import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { stringify } from 'yaml';
import { main } from '../../../src/cli.js';
import type { Strategy } from '../../../src/commands/convert/glob.js';
import { globPattern } from '../../../src/commands/convert/glob.js';
import { readMatchUrl } from '../../../src/commands/convert/url.js';
import { loadRules } from '../../../src/rules/load.js';
import { options } from '../../rules/options.js';
import { UNKNOWN } from './oathkeeper-setup.js';

/** An access rule; what is not told is that of Oathkeeper's documentation. */
function accessRule(more: object = {}): Record<string, unknown> {
  return {
    id: 'orders',
    match: { url: 'https://api.example.com/orders/<[0-9]+>', methods: ['GET'] },
    authenticators: [{ handler: 'oauth2_introspection', config: { required_scope: ['orders.read'] } }],
    authorizer: { handler: 'allow' },
    mutators: [{ handler: 'noop' }],
    upstream: { url: 'http://orders:8080' },
    ...more,
  };
}

async function convert(t: Test, content: unknown, args: readonly string[] = [], name = 'rules.json') {
  const folder = t.testdir({});
  const file = join(folder, name);
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content, null, 1));
  let out = '';
  let err = '';
  const code = await main(['convert', ...args, file], {
    environment: {},
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
  });
  const target = join(folder, 'apirules.yaml');
  writeFileSync(target, out);
  const told = err.replaceAll(`${folder}/`, '').trimEnd().split('\n');
  const lines = told.filter((line) => !UNKNOWN.test(line));
  return { code, out, lines, load: () => loadRules([target], { ...options, overlap: 'specific' }) };
}

t.test('access rules become APIRules that load', async (t) => {
  const rules = [
    accessRule(),
    accessRule({
      id: 'Orders / write',
      description: 'who may write',
      match: { url: '<http|https>://api.example.com:443/orders<(/.*)?>', methods: ['POST', 'PUT'] },
      authenticators: [
        {
          handler: 'jwt',
          config: { jwks_urls: ['https://as.example/keys'], trusted_issuers: ['https://as.example/'] },
        },
        { handler: 'bearer_token', config: { check_session_url: 'http://kratos/sessions/whoami' } },
      ],
      mutators: [
        {
          handler: 'header',
          config: { headers: { 'X-Part': '{{ printIndex .MatchContext.RegexpCaptureGroups 1 }}' } },
        },
      ],
    }),
    accessRule({
      id: 'open',
      match: { url: 'http://<(a|b)>.example.com/<.*>', methods: ['GET'] },
      authenticators: [{ handler: 'noop' }],
      upstream: { url: 'http://open.svc' },
    }),
    accessRule({ id: 'open', match: { url: 'http://<.*>.wild.example/', methods: ['GET'] } }),
  ];
  for (const [content, name] of [
    [rules, 'rules.json'],
    [stringify(rules), 'rules.yaml'],
  ] as const) {
    const { code, lines, load } = await convert(t, content, ['--namespace', 'shop'], name);
    t.same(lines, ['convert: 5 APIRules, 0 findings']);
    t.equal(code, 0);
    const { table, findings } = load();
    t.same(
      findings.map((finding) => finding.code),
      ['session-check-as-client'],
      'what Oathkeeper does with it is said where it is loaded',
    );
    t.same(
      table?.rules.map(({ id, hosts, methods, path, upstream, strategies }) => [
        id,
        hosts[0],
        methods.join(),
        path,
        upstream.authority,
        strategies.map(({ handler }) => handler).join(),
      ]),
      [
        [
          'shop/orders#0',
          'api.example.com',
          'GET',
          '/orders/([0-9]+)',
          'orders.shop:8080',
          'oauth2_introspection',
        ],
        [
          'shop/orders-write#0',
          'api.example.com',
          'POST,PUT',
          '/orders((/.*)?)',
          'orders.shop:8080',
          'jwt,bearer_token',
        ],
        ['shop/open#0', 'a.example.com', 'GET', '/(.*)', 'open.svc.shop', 'noop'],
        ['shop/open-2#0', 'b.example.com', 'GET', '/(.*)', 'open.svc.shop', 'noop'],
        ['shop/open-3#0', '*.wild.example', 'GET', '/', 'orders.shop:8080', 'oauth2_introspection'],
      ],
    );
  }
  const { out } = await convert(t, rules);
  t.match(out, 'RegexpCaptureGroups 0', 'counted from the path on');
  t.match(out, 'description: who may write');
});

t.test('what is not carried over is listed where it stands, and never dropped', async (t) => {
  const left = (more: object) => accessRule(more);
  for (const [rule, expected, apiRules] of [
    [
      left({ authorizer: { handler: 'remote_json', config: { remote: 'http://x' } } }),
      /^rules\.json:\d+:\d+ error rule-left-out 0\.authorizer: .*must have the field "payload"/,
      0,
    ],
    [left({ authorizer: { handler: 'keto_engine_acp_ory' } }), /rule-left-out 0\.authorizer: .*keto/, 0],
    [
      left({ upstream: { url: 'http://orders?x=1' } }),
      /rule-left-out 0\.upstream\.url: .*cannot have a query/,
      0,
    ],
    [
      left({ upstream: { url: 'http://orders', strip_path: '/other' } }),
      /rule-left-out 0\.upstream\.strip_path: .*no path of the rule .* begins with the segments \/other/,
      0,
    ],
    [
      left({ upstream: { url: 'http://orders/a%2Fb' } }),
      /rule-left-out 0\.upstream\.url: .*not a canonical path/,
      0,
    ],
    [
      left({ upstream: { url: 'http://orders/orders', strip_path: '/orders' } }),
      /rule-left-out 0\.upstream\.strip_path: .*contains it too/,
      0,
    ],
    [left({ upstream: {} }), /warning not-carried-over 0\.upstream: .*missing upstream\.url/, 1],
    [
      left({ upstream: { url: 'https://orders' } }),
      /warning not-carried-over 0\.upstream\.url: .*services: \{ orders: https/,
      1,
    ],
    [
      left({ errors: [{ handler: 'json' }, { handler: 'redirect' }] }),
      /warning not-carried-over 0\.errors\.1: .*has no target/,
      1,
    ],
    [
      left({ match: { url: 'https://api/<.*>', methods: ['GET', 'TRACE'] } }),
      /not-carried-over 0\.match\.methods\.1: .*TRACE/,
      1,
    ],
    [left({ match: { url: 'https://api/<.*>', methods: [] } }), /rule-left-out 0\.match: .*no method/, 0],
    [left({ match: { authority: 'x', full_method: 'a.B/C' } }), /rule-left-out 0\.match: .*gRPC/, 0],
    [
      left({ match: { url: '<.*>', methods: ['GET'] } }),
      /rule-left-out 0\.match\.url: .*cannot be told apart/,
      0,
    ],
    [
      left({ match: { url: 'https://<.*>/x', methods: ['GET'] } }),
      /warning not-carried-over 0\.match\.url: .*which <\.\*> takes as well/,
      1,
    ],
    [
      left({ match: { url: 'https://<[^.]+>.example/x', methods: ['GET'] } }),
      /rule-left-out 0\.match\.url: .*its host contains/,
      0,
    ],
    [
      left({ match: { url: 'https://api.example<.*>', methods: ['GET'] } }),
      /warning not-carried-over 0\.match\.url: .*only begin with api\.example/,
      1,
    ],
    [
      left({ match: { url: 'https://api/<(a+)+b>', methods: ['GET'] } }),
      /rule-left-out 0\.match\.url: .*/,
      0,
    ],
    [
      left({ match: { url: 'https://api/<(?!admin).*>', methods: ['GET'] } }),
      /rule-left-out 0\.match\.url: .*scopegate cannot prove/,
      0,
    ],
    [
      left({ match: { url: 'https://api/<x', methods: ['GET'] } }),
      /rule-left-out 0\.match\.url: .*are not balanced/,
      0,
    ],
    [left({ match: { url: 'https://api', methods: ['GET'] } }), /rule-left-out 0\.match\.url: .*no path/, 0],
    [left({ authenticators: [{ handler: 'jwt' }] }), /rule-left-out 0\.authenticators\.0: .*jwks_urls/, 0],
    [
      left({ authenticators: [{ handler: 'mtls' }] }),
      /rule-left-out 0\.authenticators\.0: .*no handler is called "mtls"/,
      0,
    ],
    [
      left({ mutators: [{ handler: 'header', config: { headers: { a: '{{ if .Subject }}' } } }] }),
      /rule-left-out 0\.mutators\.0: .*"if"/,
      0,
    ],
    [
      left({
        match: { url: '<https?>://api/<.*>', methods: ['GET'] },
        mutators: [
          {
            handler: 'header',
            config: { headers: { a: '{{ printIndex .MatchContext.RegexpCaptureGroups 0 }}' } },
          },
        ],
      }),
      /rule-left-out 0\.mutators: .*capture group of the host or the scheme/,
      0,
    ],
    [left({ surprise: 1 }), /error unknown-field unknown field "surprise" in 0/, 0],
    [left({ authenticators: undefined }), /error missing-field 0 must have the field "authenticators"/, 0],
  ] as const) {
    const { code, lines, out } = await convert(t, [rule]);
    t.equal(code, 1, JSON.stringify(lines));
    t.match(lines[0], expected);
    t.equal(lines.at(-1), `convert: ${apiRules} APIRule${apiRules === 1 ? '' : 's'}, 1 finding`);
    t.equal(out.length > 0, apiRules > 0);
  }
});

t.test('positions are those of the file', async (t) => {
  const text = `- id: a
  match: { url: "https://api/<.*>", methods: [GET] }
  authenticators: [{ handler: noop }]
  authorizer: { handler: keto_engine_acp_ory }
  upstream: { url: "http://a" }
`;
  const { lines } = await convert(t, text, [], 'rules.yaml');
  t.match(lines[0], /^rules\.yaml:4:15 error rule-left-out /);
});

t.test('a single rule, and the custom resource of Oathkeeper Maester', async (t) => {
  t.equal((await convert(t, accessRule())).code, 0);
  const { id: _, ...spec } = accessRule();
  const resource = {
    apiVersion: 'oathkeeper.ory.sh/v1alpha1',
    kind: 'Rule',
    metadata: { name: 'from-crd' },
    spec,
  };
  const { code, out } = await convert(t, resource);
  t.equal(code, 0);
  t.match(out, 'name: from-crd');
});

t.test('bad usage and files that cannot be read', async (t) => {
  const io = { environment: {}, out: () => {}, err: () => {} };
  t.equal(await main(['convert'], io), 2);
  t.equal(await main(['convert', '--namespace', 'A b', 'x'], io), 2);
  t.equal(await main(['convert', '/nowhere.json'], io), 1);
  t.match((await convert(t, '{')).lines[0], /yaml-syntax/);
});

t.test('globs', (t) => {
  for (const [glob, matches, others] of [
    ['*', ['abc', ''], ['a/b', 'a.b']],
    ['**', ['a/b.c', ''], []],
    ['a?c', ['abc'], ['a/c', 'ac']],
    ['[ab]x', ['ax', 'bx'], ['cx']],
    ['[!ab]x', ['cx'], ['ax']],
    ['[a-c]', ['b'], ['d']],
    ['{a,b*}/c', ['a/c', 'bxx/c'], ['c/c', 'b/x/c']],
    ['a.b+', ['a.b+'], ['axb', 'a.bb']],
    ['\\*', ['*'], ['a']],
  ] as const) {
    const expression = new RegExp(`^(?:${globPattern(glob)})$`);
    for (const match of matches) t.match(match, expression, `${glob} matches "${match}"`);
    for (const other of others) t.notMatch(other, expression, `${glob} does not match "${other}"`);
  }
  for (const glob of ['[a', '{a', 'a\\']) t.throws(() => globPattern(glob), glob);
  const { path, groupsBefore } = readMatchUrl('<{http,https}>://api/users/<*>/<**>', 'glob');
  t.same([path, groupsBefore], ['/users/(?:[^./]*)/(?:.*)', 0]);
  t.end();
});

t.test('a path matches what the URL matched, on its host', (t) => {
  const literal = fc.stringMatching(/^[a-z.~-]{0,4}$/);
  const expression = fc.constantFrom('.*', '[0-9]+', 'a|b', '(x|y)z?', '\\d{2}');
  const glob = fc.constantFrom('*', '**', '?', '[a-c]', '{a,b}');
  const strategy = fc.constantFrom<Strategy>('regexp', 'glob');
  fc.assert(
    fc.property(
      strategy,
      fc.array(fc.tuple(literal, expression, glob), { maxLength: 3 }),
      fc.stringMatching(/^\/[a-z0-9./~-]{0,8}$/),
      (kind, parts, candidate) => {
        const patterns = parts.map(([text, re, gl]) => [text, kind === 'regexp' ? re : gl] as const);
        const url = `https://api.example/${patterns.map(([text, each]) => `${text}<${each}>`).join('')}`;
        const { path, hosts } = readMatchUrl(url, kind);
        // As Oathkeeper compiles it: the whole URL, literal text quoted.
        const quote = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
        const inner = (each: string) => (kind === 'regexp' ? `(${each})` : `(?:${globPattern(each)})`);
        const whole = new RegExp(
          `^${quote('https://api.example/')}${patterns.map(([text, each]) => quote(text) + inner(each)).join('')}$`,
        );
        t.same(hosts, ['api.example']);
        return whole.test(`https://api.example${candidate}`) === new RegExp(`^(?:${path})$`).test(candidate);
      },
    ),
    { numRuns: 300 },
  );
  t.end();
});

t.test('the example of the migration guide', async (t) => {
  const page = readFileSync(new URL('../../../../docs/migration.md', import.meta.url), 'utf8');
  const block = (name: string) =>
    new RegExp(`\`\`\`yaml ${name}\\n([\\s\\S]*?)\n\`\`\``).exec(page)?.[1] ?? '';
  const folder = t.testdir({
    'access-rules.yaml': block('access-rules\\.yaml'),
    'oathkeeper.yml': block('oathkeeper\\.yml'),
  });
  const io = { environment: {}, out: () => {}, err: () => {} };
  const out = join(folder, 'gateway');
  const args = ['--config', join(folder, 'oathkeeper.yml'), '--out', out, join(folder, 'access-rules.yaml')];
  t.equal(await main(['convert', ...args], io), 0);
  t.equal(await main(['check', '--strict', '--config', join(out, 'scopegate.yaml')], io), 0);
  const { table } = loadRules([join(out, 'rules')], options);
  t.match(table?.rules[0], { path: '/orders/([0-9]+)', rewrite: { strip: '/orders', base: '/v1' } });
});

t.test('a rule without mutators, which Oathkeeper refuses, is converted, and said', async (t) => {
  for (const mutators of [undefined, null, []]) {
    const rule = { ...(accessRule({ id: 'open' }) as object), mutators };
    const { code, lines, load } = await convert(t, JSON.stringify([rule]));
    t.equal(code, 0);
    t.match(lines, [
      /^\S+:\d+:\d+ warning refused-before 0\.mutators: Oathkeeper refuses a rule without mutators/,
      /1 APIRule, 1 finding/,
    ]);
    t.equal(load().table?.rules.length, 1);
  }
  const { id, ...spec } = accessRule({ id: 'open' }) as { readonly id: string };
  const resource = {
    apiVersion: 'oathkeeper.ory.sh/v1alpha1',
    kind: 'Rule',
    metadata: { name: id, namespace: 'shop' },
    spec: { ...spec, mutators: undefined },
  };
  const { lines } = await convert(t, JSON.stringify(resource));
  t.same(lines, ['convert: 1 APIRule, 0 findings'], 'Oathkeeper Maester writes noop for it');
});
