import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import { Revocation } from '../../../src/auth/introspection/invalidation.js';
import { MAX_FORM_BYTES } from '../../../src/parse/form.js';
import { ask } from '../../ask.js';
import { arrival } from '../../decision.js';
import { apiRule, rule, startTestGateway } from '../../gateway.js';

const FORM = { 'content-type': 'application/x-www-form-urlencoded' };
const TOKENS = {
  a1: { scope: 'read', sub: 'alice', client_id: 'app' },
  a2: { scope: 'read', sub: 'bob', client_id: 'app' },
  o1: { scope: 'read', sub: 'alice', client_id: 'other one' },
};

async function start(t: { teardown(end: () => unknown): void }, status = 200) {
  const gate = await startTestGateway(t, {
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

t.test('where it cannot be said which, everything is asked about anew', async (t) => {
  const { revoke, askedAgain } = await start(t);
  for (const [body, headers] of [
    ['token=refresh', {}],
    ['token=a&token=b&client_id=app', {}],
    ['client_id=app', {}],
    [`token=${'a'.repeat(20_000)}&client_id=app`, {}],
    ['{"token":"a1"}', { 'content-type': 'application/json' }],
  ] as const) {
    await askedAgain();
    await revoke(body, headers);
    t.equal(await askedAgain(), 'a1 a2 o1', body.slice(0, 40));
  }
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
  const revocation = new Revocation(
    arrival('/oauth2/revoke', { 'Content-Type': FORM['content-type'] }).fields,
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
  const forgotten: unknown[] = [];
  revocation.apply((which) => forgotten.push(which));
  t.same(forgotten, ['all']);
});

t.test('a form of the greatest length is read, one byte more is not', async (t) => {
  const { fields } = arrival('/oauth2/revoke', { 'Content-Type': FORM['content-type'] });
  for (const [length, expected] of [
    [MAX_FORM_BYTES, [{ token: 'a1' }]],
    [MAX_FORM_BYTES + 1, ['all']],
  ] as const) {
    const revocation = new Revocation(fields);
    const body = Buffer.from('token=a1&client_assertion='.padEnd(length, 'x'));
    for (let at = 0; at < length; at += 5_000) revocation.watch(body.subarray(at, at + 5_000));
    const forgotten: unknown[] = [];
    revocation.apply((which) => forgotten.push(which));
    t.same(forgotten, expected, `${length} bytes`);
  }
});
