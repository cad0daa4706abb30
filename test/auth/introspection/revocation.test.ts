import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import type { Invalidation } from '../../../src/auth/introspection/invalidation.js';
import { Revocation, Revocations } from '../../../src/auth/introspection/revocation.js';
import { MAX_FORM_BYTES } from '../../../src/parse/form.js';
import { ask } from '../../ask.js';
import { fakeClock } from '../../clock.js';
import { arrival } from '../../decision.js';
import { apiRule, rule, startTestGateway } from '../../gateway.js';
import { until } from '../../until.js';

const FORM = { 'content-type': 'application/x-www-form-urlencoded' };
const TOKENS = {
  a1: { scope: 'read', sub: 'alice', client_id: 'app' },
  a2: { scope: 'read', sub: 'bob', client_id: 'app' },
  o1: { scope: 'read', sub: 'alice', client_id: 'other one' },
};

async function start(t: { teardown(end: () => unknown): void }, status = 200) {
  const clock = fakeClock();
  const gate = await startTestGateway(t, {
    clock,
    rules: apiRule('gate.example', [
      rule('/headers', ['GET'], 'read'),
      {
        path: '/oauth2/revoke',
        methods: ['POST', 'GET'],
        accessStrategies: [{ handler: 'allow' }],
        scopegate: { revocation: 'observe' },
      },
      { path: '/other/revoke', methods: ['POST'], accessStrategies: [{ handler: 'allow' }] },
    ]),
    tokens: TOKENS,
    respond: (_message, response) => {
      response.statusCode = status;
      response.end();
    },
  });
  return {
    gate,
    clock,
    /** What the audit lines say of the revocations, in order. */
    effects: () => gate.log.flatMap(({ revocation }) => (revocation === undefined ? [] : [revocation])),
    revoke: (body: string, headers: Record<string, string> = {}, path = '/oauth2/revoke') =>
      ask(gate, path, { method: 'POST', body, headers: { ...FORM, ...headers } }),
    /** Uses every token once. @returns those that the authorization server was asked about */
    async askedAgain(): Promise<string> {
      const before = gate.endpoint.asked.length;
      for (const token of Object.keys(TOKENS)) await ask(gate, '/headers', { token });
      return gate.endpoint.asked.slice(before).join(' ');
    },
  };
}

t.test('a revocation that passes and succeeds ends what is cached about the token', async (t) => {
  const { gate, revoke, askedAgain } = await start(t);
  t.equal(await askedAgain(), 'a1 a2 o1');
  t.equal(await askedAgain(), '', 'all are cached');
  const body = 'token=a1&client_id=app';
  t.equal((await revoke(body)).status, 200);
  t.equal(gate.upstream.received.at(-1)?.body.toString(), body, 'it goes on byte for byte');
  t.equal(await askedAgain(), 'a1', 'and nothing else is forgotten');
});

t.test('a long form is read along as well, though its memory is given back on its way', async (t) => {
  const { gate, revoke, askedAgain } = await start(t);
  await askedAgain();
  const body = `client_assertion=${'x'.repeat(10_000)}&token=a1&client_id=app`;
  t.equal((await revoke(body)).status, 200);
  t.equal(gate.upstream.received.at(-1)?.body.toString(), body);
  t.equal(await askedAgain(), 'a1');
});

t.test('a token of which nothing is known may be a refresh token: its client starts anew', async (t) => {
  const { revoke, askedAgain } = await start(t);
  await askedAgain();
  await revoke('token=refresh&client_id=app');
  t.equal(await askedAgain(), 'a1 a2');
  await revoke('token=refresh', { authorization: `Basic ${btoa('other+one:secret')}` });
  t.equal(await askedAgain(), 'o1', 'the client of Basic credentials');
  await revoke('token=unknown&token_type_hint=access_token&client_id=app');
  t.equal(await askedAgain(), '', 'an access token that nobody has used');
});

/** A form as curl's `-F` sends it. */
function multipart(fields: Readonly<Record<string, string>>, boundary = '----x'): string {
  const parts = Object.entries(fields).map(
    ([name, value]) => `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
  );
  return `${parts.join('')}--${boundary}--\r\n`;
}
const MULTIPART = { 'content-type': 'multipart/form-data; boundary=----x' };

t.test('where the form cannot be read, everything is asked about anew', async (t) => {
  const { revoke, askedAgain, clock, effects } = await start(t);
  const cases = [
    ['token=refresh', {}],
    [`token=${'a'.repeat(20_000)}&client_id=app`, {}],
    ['{"token":"a1"}', { 'content-type': 'application/json' }],
    ['token=a1&client_id=app', { 'content-encoding': 'gzip' }],
    ['token=a1&client_id=app', { 'content-type': 'application/x-www-form-urlencoded; charset=utf-16' }],
    [Array.from({ length: 9 }, (_, i) => `token=${i}`).join('&'), {}],
    // A multipart form that servers read in different ways.
    [
      multipart({ token: 'a1' }).replace('\r\n\r\n', '\r\nContent-Transfer-Encoding: base64\r\n\r\n'),
      MULTIPART,
    ],
    [multipart({ token: 'a1' }).replace('name="token"', 'name="token"; filename="a"'), MULTIPART],
    [multipart({ token: 'a1' }).replaceAll('\r\n', '\n'), MULTIPART],
    [multipart({ token: 'a1' }).replace(/--\r\n$/, ''), MULTIPART],
    [`preamble\r\n${multipart({ client_id: 'app' })}`, MULTIPART],
    [multipart({ client_id: 'app' }), { 'content-type': 'multipart/form-data; boundary=other' }],
    [multipart({ client_id: 'app' }), { 'content-type': 'multipart/form-data' }],
  ] as const;
  for (const [body, headers] of cases) {
    await askedAgain();
    await revoke(body, headers);
    t.equal(await askedAgain(), 'a1 a2 o1', body.slice(0, 60));
    clock.advance(1_000);
  }
  t.same(
    effects(),
    cases.map(() => 'all'),
    'and the audit says so',
  );
});

t.test('a form without a token has revoked nothing', async (t) => {
  const { revoke, askedAgain, effects } = await start(t);
  await askedAgain();
  for (const [body, headers] of [
    ['client_id=app&foo=x', {}],
    ['client_id=app&token=', {}],
    ['', {}],
    [multipart({ client_id: 'app', foo: 'x' }), MULTIPART],
  ] as const) {
    await revoke(body, headers);
    t.equal(await askedAgain(), '', body);
  }
  t.same(effects(), ['none', 'none', 'none', 'none']);
});

t.test('a multipart form is read, as curl -F sends it', async (t) => {
  const { gate, revoke, askedAgain, effects } = await start(t);
  await askedAgain();
  const body = multipart({ token: 'a1', client_id: 'app' });
  await revoke(body, MULTIPART);
  t.equal(gate.upstream.received.at(-1)?.body.toString(), body);
  t.equal(await askedAgain(), 'a1');
  await revoke(multipart({ token: 'refresh', client_id: 'app' }, 'q r'), {
    'content-type': 'multipart/form-data; boundary="q r"',
  });
  t.equal(await askedAgain(), 'a1 a2');
  t.same(effects(), ['token', 'client']);
});

t.test('every token that a server may have read is forgotten', async (t) => {
  const { revoke, askedAgain } = await start(t);
  await askedAgain();
  await revoke('token=a1&token=o1&client_id=app');
  t.equal(await askedAgain(), 'a1 o1');
  await revoke('client_id=app', {}, '/oauth2/revoke?token=a2');
  t.equal(await askedAgain(), 'a2', 'servers of Java read the query as well');
  await revoke('token=a1&token=refresh&client_id=app');
  t.equal(await askedAgain(), 'a1 a2', 'one of several may be a refresh token');
});

t.test('a client, or everything, is forgotten once a second at most, and never too little', async (t) => {
  const { revoke, askedAgain, clock, effects } = await start(t);
  await askedAgain();
  for (let i = 0; i < 3; i++) await revoke('unreadable', { 'content-type': 'text/plain' });
  for (let i = 0; i < 3; i++) await revoke('token=refresh&client_id=app');
  await revoke('token=refresh&client_id=other%20one');
  t.equal(await askedAgain(), 'a1 a2 o1');
  t.equal(await askedAgain(), '', 'as often as anybody likes');
  t.same(effects(), [
    'all',
    'all_delayed',
    'all_delayed',
    'client',
    'client_delayed',
    'client_delayed',
    'client',
  ]);
  await until(async () => (await askedAgain()).includes('o1'));
  clock.advance(1_000);
  await revoke('unreadable', { 'content-type': 'text/plain' });
  t.equal(effects().at(-1), 'all');
});

t.test('what was delayed is forgotten when the gateway ends, and many clients count as all', (t) => {
  const forgotten: Invalidation[] = [];
  const clock = fakeClock();
  const revocations = new Revocations((which) => {
    forgotten.push(which);
    return 0;
  }, clock);
  const { fields } = arrival('/oauth2/revoke', { 'Content-Type': FORM['content-type'] });
  const revoke = (clientId: string) => {
    const revocation = revocations.observe(fields, '');
    revocation.watch(Buffer.from(`token=refresh&client_id=${clientId}`));
    return revocation.apply();
  };
  const claims = () => forgotten.splice(0).filter((which) => which === 'all' || 'claim' in which);
  t.equal(revoke('a'), 'client');
  t.equal(revoke('a'), 'client_delayed');
  t.equal(claims().length, 1);
  revocations.flush();
  t.same(claims(), [{ claim: 'client_id', value: 'a' }]);
  for (let i = 0; i < 1_100; i++) revoke(`c${i}`);
  const many = claims();
  t.equal(many.filter((which) => which === 'all').length, 1);
  t.equal(many.length, 1_002, 'one by one up to a bound');
  revocations.flush();
  t.same(claims(), ['all']);
  t.end();
});

t.test('a revocation that is refused, or passes elsewhere, ends nothing', async (t) => {
  const refused = await start(t, 401);
  await refused.askedAgain();
  await refused.revoke('token=a1&client_id=app');
  t.equal(await refused.askedAgain(), '');
  const elsewhere = await start(t);
  await elsewhere.askedAgain();
  await elsewhere.revoke('token=a1&client_id=app', {}, '/other/revoke');
  await ask(elsewhere.gate, '/oauth2/revoke?token=a1', { method: 'GET' });
  t.equal(await elsewhere.askedAgain(), '');
});

t.test('of a form that is too long nothing more is kept', async (t) => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const forgotten: unknown[] = [];
  const revocation = new Revocation(
    arrival('/oauth2/revoke', { 'Content-Type': FORM['content-type'] }).fields,
    '',
    (which) => forgotten.push(which) > 0,
  );
  const pieces = Array.from({ length: 8 }, () => {
    const piece = Buffer.allocUnsafeSlow(65_536).fill('a');
    revocation.watch(piece);
    return new WeakRef(piece);
  });
  // A reference that was just looked at lives until the end of its turn of the event loop.
  await new Promise((resolve) => setImmediate(resolve));
  collect();
  t.equal(pieces.filter((piece) => piece.deref() !== undefined).length, 0);
  revocation.apply();
  t.same(forgotten, ['all']);
});

t.test('a form of the greatest length is read, one byte more is not', async (t) => {
  const { fields } = arrival('/oauth2/revoke', { 'Content-Type': FORM['content-type'] });
  for (const [length, expected] of [
    [MAX_FORM_BYTES, [{ token: 'a1' }]],
    [MAX_FORM_BYTES + 1, ['all']],
  ] as const) {
    const forgotten: unknown[] = [];
    const revocation = new Revocation(fields, '', (which) => forgotten.push(which) > 0);
    const body = Buffer.from('token=a1&client_assertion='.padEnd(length, 'x'));
    for (let at = 0; at < length; at += 5_000) revocation.watch(body.subarray(at, at + 5_000));
    revocation.apply();
    t.same(forgotten, expected, `${length} bytes`);
  }
});
