import t from 'tap';
import { cookieKey, cookieKeys, cookieValues } from '../../src/parse/cookies.js';
import { occurrences } from '../../src/parse/parameter.js';

t.test('a parameter is found by its exact name, and counted in every spelling of it', async (t) => {
  for (const [text, name, values, lookalikes] of [
    ['key=1', 'key', ['1'], 1],
    ['?key=1&a=?', 'key', ['1'], 1],
    ['key=1&a=?', 'key', ['1'], 1],
    ['??key=1', 'key', [], 0],
    ['a=key', 'key', [], 0],
    ['key', 'key', [''], 1],
    ['ke', 'key', [], 0],
    ['KEY=1', 'key', [], 1],
    ['key=1', 'Key', [], 1],
    ['key=1&Key=2', 'Key', ['2'], 2],
    ['key=1&key=2', 'key', ['1', '2'], 2],
    ['a=1;key=2', 'key', [], 1],
    ['key[]=1', 'key', [], 1],
    ['key[a]=1', 'key', [], 1],
    ['a[key]=1', 'key', [], 0],
    ['k%65y=1', 'key', ['1'], 1],
    ['+key=1', 'key', [], 1],
    ['k%zzey=1', 'key', [], 0],
    ['%zz=1&k%65y=2', 'key', ['2'], 1],
    ['my.key=1&my key=2&my+key=3&my[key=4', 'my_key', [], 4],
    ['key%00=1', 'key', [], 1],
    ['key%00=1&key=2', 'key', ['2'], 2],
    ['key%00x=1', 'key', [], 1],
    ['key%00[]=1', 'key', [], 1],
    ['%00key=1', 'key', [], 1],
    ['k%00ey=1', 'key', [], 1],
    ['k%01ey=1&ke%7Fy=2', 'key', [], 2],
    ['k%E2%80%8Bey=1&key%C2%AD=2&key%EF%B8%8F=3', 'key', [], 3],
    ['%EF%BD%8B%EF%BD%85%EF%BD%99=1', 'key', [], 1],
    ['k\u200bey=1', 'key', [], 1],
    ['', 'key', [], 0],
    ['?', 'key', [], 0],
  ] as const)
    t.same(occurrences(text, name), { values, lookalikes }, `${name} in ${text}`);
});

t.test('a cookie is found by its exact name, and its name in every spelling', async (t) => {
  for (const [field, values] of [
    ['a=1', ['1']],
    ['b=0; a=1; a=2', ['1', '2']],
    ['a = 1 ', ['1']],
    ['a="1"', ['1']],
    ['a="1', ['"1']],
    ['a=1"', ['1"']],
    ['a=x=y', ['x=y']],
    ['A=1; aa=1; a', []],
    ['a=', ['']],
    [undefined, []],
    ['a=x"t"', ['x"t"']],
    ['a="t"x', ['"t"x']],
  ] as const)
    t.same(cookieValues(field, 'a'), values, field ?? 'no field');
  for (const [field, keys] of [
    ['a=1; B=2', ['a', 'b']],
    ['a=1, b=2', ['a', 'b']],
    ['$a=1; "b"=2; " $c "=3', ['a', 'b', 'c']],
    ['a$b=1; a"b=2; a b=3', ['a$b', 'a"b', 'a_b']],
    ['a$=1', ['a$']],
    ['%61=1; %zz=2', ['a', '%zz']],
    ['a.b=1; a[b]=2', ['a_b', 'a_b_']],
    ['a', ['a']],
    ['a%00b=1; c%00=2', ['ab', 'a', 'c']],
    ['a%E2%80%8Bb=1', ['ab']],
  ] as const)
    t.same(cookieKeys(field), keys, field);
  t.equal(cookieKey(' My.Cookie '), 'my_cookie', 'as settings may write it');
});
