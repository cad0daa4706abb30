import { join } from 'node:path';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { loadRules } from '../../../src/rules/load.js';
import { ask, type Question } from '../../ask.js';
import { apiRule, rule, startTestGateway } from '../../gateway.js';
import { options } from '../options.js';

const ORIGIN = 'https://app.example';
const POLICY = {
  allowOrigins: [
    { exact: ORIGIN },
    { prefix: 'http://localhost:' },
    { regex: 'https://[a-z]+\\.pages\\.example' },
  ],
  allowMethods: ['GET', 'PUT'],
  allowHeaders: ['Authorization', 'X-One'],
  exposeHeaders: ['X-Total'],
  allowCredentials: true,
  maxAge: '10m',
};

function withPolicy(rules: readonly object[], corsPolicy: object | undefined): string {
  const document = JSON.parse(apiRule('gate.example', rules));
  return JSON.stringify({ ...document, spec: { ...document.spec, corsPolicy } });
}

/** An upstream with opinions of its own about other origins. */
function start(
  t: Test,
  corsPolicy: object | undefined,
  rules: readonly object[] = [rule('/x', ['GET'], 'read')],
) {
  return startTestGateway(t, {
    rules: withPolicy(rules, corsPolicy),
    respond: (message, response) => {
      response.writeHead(200, {
        'access-control-allow-origin': '*',
        'access-control-allow-credentials': 'true',
        'access-control-expose-headers': 'X-Secret',
        vary: 'Accept',
      });
      response.end(message.method);
    },
  });
}

function preflight(origin = ORIGIN, method = 'GET', headers?: string): Question {
  return {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': method,
      ...(headers === undefined ? {} : { 'access-control-request-headers': headers }),
    },
  };
}

const cors = (headers: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(
    Object.entries(headers).filter(([name]) => name.startsWith('access-control-') || name === 'vary'),
  );

t.test('a preflight is answered before authorization, by the rule of the announced method', async (t) => {
  const gate = await start(t, POLICY);
  const answer = await ask(gate, '/x', preflight());
  t.equal(answer.status, 204);
  t.same(cors(answer.headers), {
    'access-control-allow-origin': ORIGIN,
    'access-control-allow-credentials': 'true',
    'access-control-allow-methods': 'GET, PUT',
    'access-control-allow-headers': 'Authorization, X-One',
    'access-control-max-age': '600',
    vary: 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers',
  });
  t.equal(gate.upstream.received.length, 0);
  t.equal(gate.endpoint.asked.length, 0);
  t.match(gate.log.at(-1), { decision: 'allow', method: 'OPTIONS', rule: 'default/gate#0', status: 204 });

  for (const origin of ['http://localhost:3000', 'https://abc.pages.example']) {
    t.equal((await ask(gate, '/x', preflight(origin))).headers['access-control-allow-origin'], origin);
  }
  for (const origin of [
    'https://app.example.evil',
    'https://evil-app.example',
    'http://app.example',
    'https://a.pages.example.evil',
    'https://apages.example',
    'null',
  ]) {
    const refused = await ask(gate, '/x', preflight(origin));
    t.equal(refused.status, 204, origin);
    t.same(Object.keys(cors(refused.headers)), ['vary'], 'it learns nothing');
  }
  t.equal((await ask(gate, '/x', preflight(ORIGIN, 'PUT'))).status, 404, 'no rule for that method');
  t.equal((await ask(gate, '/y', preflight())).status, 404);
});

t.test('an OPTIONS request that is no preflight is a request', async (t) => {
  const gate = await start(t, POLICY, [rule('/x', ['GET', 'OPTIONS'], 'read')]);
  t.equal((await ask(gate, '/x', { method: 'OPTIONS', headers: { origin: ORIGIN } })).status, 401);
  const asked = { 'access-control-request-method': 'GET' };
  t.equal((await ask(gate, '/x', { method: 'OPTIONS', headers: asked })).status, 401);
  t.equal((await ask(gate, '/x', { method: 'OPTIONS', token: 'good-read' })).text, 'OPTIONS');
  t.equal((await ask(gate, '/x', preflight())).status, 204);
});

t.test('answers carry the policy in place of the upstream’s, refusals too', async (t) => {
  const gate = await start(t, POLICY);
  const good = await ask(gate, '/x', { token: 'good-read', headers: { origin: ORIGIN } });
  t.equal(good.status, 200);
  t.match(cors(good.headers), {
    'access-control-allow-origin': ORIGIN,
    'access-control-allow-credentials': 'true',
    'access-control-expose-headers': 'X-Total',
  });
  t.same([good.headers.vary].flat().join(', '), 'Accept, Origin');
  for (const headers of [{ origin: 'https://evil.example' }, {}]) {
    const other = await ask(gate, '/x', { token: 'good-read', headers });
    t.equal(other.status, 200);
    t.same(Object.keys(cors(other.headers)), ['vary']);
    t.same([other.headers.vary].flat().join(', '), 'Accept, Origin');
  }
  for (const [token, status] of [
    [undefined, 401],
    ['good-write', 403],
  ] as const) {
    const question = { headers: { origin: ORIGIN }, ...(token === undefined ? {} : { token }) };
    const refused = await ask(gate, '/x', question);
    t.equal(refused.status, status);
    t.equal(refused.headers['access-control-allow-origin'], ORIGIN, 'so that the page can read why');
  }
  gate.endpoint.fault = (_message, response) => response.destroy();
  const down = await ask(gate, '/x', { token: 'other', headers: { origin: ORIGIN } });
  t.equal(down.status, 503);
  t.equal(down.headers['access-control-allow-origin'], ORIGIN);
});

t.test('without a policy the upstream has its own', async (t) => {
  const gate = await start(t, undefined);
  t.equal((await ask(gate, '/x', preflight())).status, 404);
  const answer = await ask(gate, '/x', { token: 'good-read', headers: { origin: ORIGIN } });
  t.same(cors(answer.headers), {
    'access-control-allow-origin': '*',
    'access-control-allow-credentials': 'true',
    'access-control-expose-headers': 'X-Secret',
    vary: 'Accept',
  });
});

t.test('a star means any field but Authorization', async (t) => {
  const gate = await start(t, { ...POLICY, allowHeaders: ['*', 'X-One'] });
  const granted = async (headers: string) =>
    (await ask(gate, '/x', preflight(ORIGIN, 'GET', headers))).headers['access-control-allow-headers'];
  t.equal(await granted('x-two,authorization, x two,x-three'), 'x-one, x-two, x-three');
});

t.test('an origin is granted exactly when the policy names it', async (t) => {
  const gate = await start(t, {
    allowOrigins: [{ regex: 'https://[a-c]{1,2}\\.x' }, { exact: 'https://d.x' }],
  });
  const origin = fc.stringMatching(/^https?:\/\/[a-d]{1,3}[.x]{1,3}$/);
  await fc.assert(
    fc.asyncProperty(origin, async (value) => {
      const { headers } = await ask(gate, '/x', preflight(value));
      const named = /^https:\/\/[a-c]{1,2}\.x$/.test(value) || value === 'https://d.x';
      return headers['access-control-allow-origin'] === (named ? value : undefined);
    }),
    { numRuns: 60 },
  );
});

t.test('what cannot work in a policy is an error at load', (t) => {
  const found = (policy: object) => {
    const folder = t.testdir({ 'r.yaml': withPolicy([rule('/', ['GET'], 'read')], policy) });
    return loadRules([join(folder, 'r.yaml')], options).findings.map(
      ({ code, message }) => `${code} ${message}`,
    );
  };
  for (const [policy, expected] of [
    [
      { allowOrigins: [{ regex: '(a+)+$' }] },
      /^pattern-backtracking default\/gate: spec\.corsPolicy\.allowOrigins\.0\.regex/,
    ],
    [{ allowOrigins: [{ regex: '(' }] }, /^bad-pattern/],
    [{ allowOrigins: [{ exact: 'https://App.example/' }] }, /is not an origin/],
    [{ allowOrigins: [{ exact: 'https://a.b', regex: 'x' }] }, /exactly one of/],
    [{ allowOrigins: [{}] }, /exactly one of/],
    [{ allowMethods: ['GET POST'] }, /is not a valid method/],
    [{ allowHeaders: ['X-A\r\nX-B: 1'] }, /is not a valid header field name/],
    [{ maxAge: 'soon' }, /must be a duration/],
    [{ allowOrigin: [] }, /^unknown-field/],
    [
      { allowOrigins: [{ exact: '*' }], allowCredentials: true },
      /would let every website send requests as its visitors/,
    ],
    [{ allowOrigins: [{ prefix: 'https://app' }] }, /^cors-open-origin .*also matches hosts of others/],
    [{ allowOrigins: [{ regex: '.*' }] }, /^cors-open-origin .*allows every origin/],
  ] as const) {
    const findings = found(policy);
    t.equal(findings.length, 1, JSON.stringify(findings));
    t.match(findings[0], expected);
  }
  t.same(found({ allowOrigins: [{ exact: '*' }], maxAge: '1h30m' }), []);
  t.end();
});
