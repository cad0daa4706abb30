import t from 'tap';
import { printsAs, Terminal } from './terminal.js';

t.test('what is printed is held against what is shown, with … for what differs', (t) => {
  t.ok(printsAs('a', 'a'));
  t.notOk(printsAs('a', 'ab'));
  t.notOk(printsAs('a.c', 'abc'), 'a dot is a dot');
  t.ok(printsAs('id: …, end', 'id: 5, end'));
  t.notOk(printsAs('id: …', 'id: 5\nmore'), 'a line at a time');
  t.ok(printsAs('first\n…\nlast', 'first\n1\n2\nlast'));
  t.ok(printsAs('first\n…\nlast', 'first\nlast'), 'no line, too');
  t.notOk(printsAs('first\n…\nlast', 'first\n1\nlast\n2'));
  t.ok(printsAs('first\n…', 'first\n1\n2'));
  t.ok(printsAs('…\nlast', '1\nlast'));
  t.end();
});

t.test('what one command sets, the next one has', async (t) => {
  const terminal = new Terminal(t.testdir({}), { GIVEN: 'given' });
  t.teardown(() => terminal.close());
  t.same(await terminal.run('A=1'), { code: 0, output: '' });
  t.same(await terminal.run('echo "$A $GIVEN"; echo error >&2'), { code: 0, output: '1 given\nerror' });
  t.same(await terminal.run('printf "no newline"; false'), { code: 1, output: 'no newline' });
});
