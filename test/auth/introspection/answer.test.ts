import fc from 'fast-check';
import t from 'tap';
import { readAnswer } from '../../../src/auth/introspection/answer.js';
import { InvalidAnswer } from '../../../src/auth/introspection/errors.js';
import type { ActiveAnswer } from '../../../src/model/introspection.js';

const read = (members: object): ActiveAnswer => {
  const answer = readAnswer(JSON.stringify({ active: true, ...members }));
  if (!answer.active) throw new Error('not active');
  return answer;
};

t.test('active must be exactly true or false', async (t) => {
  for (const text of [
    '{}',
    '{"active":"true"}',
    '{"active":"false"}',
    '{"active":1}',
    '{"active":0}',
    '{"active":null}',
    '{"active":[true]}',
    '{"active":{}}',
    '{"Active":true}',
    '{"__proto__":{"active":true}}',
    '{"constructor":{"active":true}}',
    '{"constructor":{"prototype":{"active":true}}}',
    '[{"active":true}]',
    '[true]',
    'true',
    'null',
    '"active"',
    '1',
    '',
    ' ',
    'active=true',
    '{"active":true',
    '{"active":true}}',
    "{'active':true}",
    '{"active":true,}',
    '{"active":true,"exp":NaN}',
    '\uFEFF{"active":true}',
    '<html>{"active":true}</html>',
  ]) {
    t.throws(() => readAnswer(text), InvalidAnswer, text);
  }
  t.same(readAnswer('{"active":false}'), { active: false });
  t.match(readAnswer(' {"active":true}\n'), { active: true });
});

t.test('other members of an inactive answer are ignored, even broken ones', async (t) => {
  t.same(readAnswer('{"active":false,"exp":"soon","scope":7,"cnf":1}'), { active: false });
});

t.test('no text but true makes a token active', async () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.json(),
        fc.json().map((value) => `{"active":${value}}`),
      ),
      (text) => {
        fc.pre(!/^\s*\{\s*"active"\s*:\s*true\s*\}\s*$/.test(text));
        try {
          return !readAnswer(text).active;
        } catch (error) {
          return error instanceof InvalidAnswer;
        }
      },
    ),
    { numRuns: 2_000 },
  );
});

t.test('the reason for refusing an answer quotes nothing of it', async (t) => {
  for (const text of ['{"active":tr', '{"active":"SECRET"}', 'SECRET', '{"active":true,"exp":"SECRET"}']) {
    try {
      readAnswer(text);
      t.fail(text);
    } catch (error) {
      t.notMatch(`${error} ${(error as Error).stack?.split('\n')[0]}`, /SECRET/);
    }
  }
});

t.test('scope and scp, text and list, mean the same', async (t) => {
  for (const members of [
    { scope: 'read write' },
    { scope: ' read  write ' },
    { scope: ['read', 'write'] },
    { scope: ['', 'read', 'write', ''] },
    { scp: 'read write' },
    { scp: ['read', 'write'] },
    { scope: null, scp: ['read', 'write'] },
  ]) {
    t.same(read(members).scopes, ['read', 'write'], JSON.stringify(members));
  }
  t.same(read({}).scopes, []);
  t.same(read({ scope: '' }).scopes, []);
  t.same(read({ scope: 'a', scp: 'b' }).scopes, ['a'], 'the registered name counts first');
  t.same(read({ scope: 'a\tb,c' }).scopes, ['a\tb,c'], 'only a space separates');
});

t.test('aud, text or list', async (t) => {
  t.same(read({ aud: 'a b' }).audience, ['a b'], 'a text is one audience');
  t.same(read({ aud: ['a', 'b'] }).audience, ['a', 'b']);
  t.same(read({}).audience, []);
});

t.test('times are finite numbers, of any size and sign', async (t) => {
  for (const exp of [0, -1, 1.5, 1e300, -1e300, Number.MAX_SAFE_INTEGER])
    t.equal(read({ exp }).expiresAt, exp);
  t.equal(
    (readAnswer('{"active":true,"exp":123456789012345678901234567890}') as ActiveAnswer).expiresAt,
    1.2345678901234568e29,
  );
  for (const name of ['exp', 'nbf']) {
    for (const value of ['"1790000000"', '"soon"', 'true', '[1]', '{}', '1e999']) {
      t.throws(() => readAnswer(`{"active":true,"${name}":${value}}`), InvalidAnswer, `${name}: ${value}`);
    }
  }
});

t.test('what has another shape than its meaning allows is refused', async (t) => {
  for (const members of [
    { scope: 7 },
    { scope: [7] },
    { scope: { read: true } },
    { aud: 7 },
    { aud: [null] },
    { iss: ['https://one'] },
    { sub: 7 },
    { client_id: {} },
  ]) {
    t.throws(() => read(members), InvalidAnswer, JSON.stringify(members));
  }
});

t.test('of duplicate members the last one counts', async (t) => {
  t.same(readAnswer('{"active":true,"active":false}'), { active: false });
  t.match(readAnswer('{"active":false,"active":true,"scope":"a","scope":"b"}'), {
    active: true,
    scopes: ['b'],
  });
});

t.test('__proto__ and constructor among the members are harmless', async (t) => {
  const answer = readAnswer(
    '{"active":true,"__proto__":{"cnf":1,"exp":1},"constructor":{"prototype":{"x":1}}}',
  );
  t.match(answer, { active: true });
  t.equal(answer.active && answer.expiresAt, undefined);
  t.equal(({} as { x?: unknown }).x, undefined);
  t.equal(({} as { cnf?: unknown }).cnf, undefined);
});

t.test('nesting 100,000 deep is read or refused, never a crash', async (t) => {
  const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
  for (const text of [deep, `{"active":true,"ext":${deep}}`, '['.repeat(200_000)]) {
    try {
      t.match(readAnswer(text), { active: true });
    } catch (error) {
      t.ok(error instanceof InvalidAnswer);
    }
  }
});

t.test('tokens with the same scopes share one list, whatever came in between', async (t) => {
  const scopesOf = (scope: string) => {
    const answer = readAnswer(JSON.stringify({ active: true, scope }));
    return answer.active ? answer.scopes : undefined;
  };
  t.equal(scopesOf('read  write'), scopesOf('read  write'));
  for (let i = 0; i < 3_000; i++) t.strictSame(scopesOf(`s${i} t${i}`), [`s${i}`, `t${i}`]);
  t.strictSame(scopesOf('read  write'), ['read', 'write']);
  t.strictSame(scopesOf(`${'x'.repeat(2_000)} y`), ['x'.repeat(2_000), 'y']);
});

t.test('a member that is null is absent, whichever it is', (t) => {
  const members = [
    ...['exp', 'nbf', 'iat', 'sub', 'aud', 'iss', 'jti', 'client_id', 'scope', 'scp', 'cnf', 'token_use'],
    ...['token_type', 'username', 'ext', 'acr', 'auth_time', 'sid', 'azp', 'anything'],
  ];
  for (const name of members) {
    const answer = read({ [name]: null });
    t.same(answer, read({}), name);
    t.notOk(Object.hasOwn(answer.claims, name), `${name}, to whoever reads the claims`);
  }
  const all = Object.fromEntries(members.map((name) => [name, null]));
  t.same(read(all), read({}));
  t.same(read({ ...all, scope: 'read', sub: 'a' }), read({ scope: 'read', sub: 'a' }));
  t.same(read({ scope: null, scp: ['read'] }).scopes, ['read']);
  t.throws(() => readAnswer('{"active":null,"sub":"a"}'), InvalidAnswer);
  t.end();
});
