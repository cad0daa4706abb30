import t from 'tap';
import { isObject, memberAt, membersOf } from '../../src/model/json.js';

t.test('null, lists and texts are no objects, and have no members', async (t) => {
  for (const value of [null, undefined, [], [{ a: 1 }], 'a', 1, true]) {
    t.notOk(isObject(value), JSON.stringify(value));
    t.same(membersOf(value), {});
  }
  t.ok(isObject({}));
  t.same(membersOf({ a: 1 }), { a: 1 });
});

t.test('a member is found through objects and lists, and none is inherited', async (t) => {
  const value = JSON.parse('{"a":{"b":[{"c":1}],"n":null},"":2}');
  t.equal(memberAt(value, ['a', 'b', '0', 'c']), 1);
  t.equal(memberAt(value, ['a', 'n']), null);
  t.equal(memberAt(value, ['']), 2);
  t.equal(memberAt(value, []), value);
  for (const path of [
    ['b'],
    ['a', 'n', 'x'],
    ['a', 'b', '1'],
    ['toString'],
    ['a', 'constructor'],
    ['a', '__proto__'],
  ])
    t.equal(memberAt(value, path), undefined, path.join('.'));
  t.equal(memberAt('text', ['length']), undefined);
});
