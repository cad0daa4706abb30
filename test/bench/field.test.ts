import t from 'tap';
import type { Contender } from '../../bench/contender.js';
import { absentTable, CONTENDERS, fieldOf } from '../../bench/contenders/all.js';
import { absent, unnamed } from '../../bench/contenders/installed.js';

const contender = (name: string, reason?: string): Contender => ({
  name,
  introspects: true,
  missing: () => reason,
  start: () => {
    throw new Error('not started');
  },
});

t.test('who is not installed is left out by name, with how to get it', (t) => {
  const field = fieldOf(undefined, [contender('here'), contender('gone', 'apt-get install gone')]);
  t.same(
    field.present.map(({ name }) => name),
    ['here'],
  );
  t.match(absentTable(field.absent), /^ {2}gone +apt-get install gone$/m);
  t.equal(absentTable(new Map()), '');
  t.end();
});

t.test('only the contenders that are asked for take part, and an unknown name is refused', (t) => {
  const all = [contender('a'), contender('b')];
  t.same(
    fieldOf(['b'], all).present.map(({ name }) => name),
    ['b'],
  );
  t.throws(() => fieldOf(['c'], all), {
    message: '--contenders: there is no contender called "c"; there are: a, b',
  });
  t.end();
});

t.test('contenders have names of their own, and scopegate needs nothing', (t) => {
  t.equal(new Set(CONTENDERS.map(({ name }) => name)).size, CONTENDERS.length);
  t.equal(CONTENDERS.find(({ name }) => name === 'scopegate')?.missing(), undefined);
  t.end();
});

t.test('a missing file is named with how to get it', (t) => {
  t.equal(absent({ [process.execPath]: 'nothing' }), undefined);
  t.equal(absent({ '/does/not/exist': 'install it' }), '/does/not/exist is not there; install it');
  process.env.BENCH_TEST_BINARY = '/does/not/exist';
  t.equal(
    unnamed('BENCH_TEST_BINARY', 'build it'),
    'BENCH_TEST_BINARY names /does/not/exist, which cannot be run; build it',
  );
  process.env.BENCH_TEST_BINARY = process.execPath;
  t.equal(unnamed('BENCH_TEST_BINARY', 'build it'), undefined);
  delete process.env.BENCH_TEST_BINARY;
  t.equal(unnamed('BENCH_TEST_BINARY', 'build it'), 'BENCH_TEST_BINARY does not name its binary; build it');
  t.end();
});
