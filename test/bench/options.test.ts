import t from 'tap';
import { readOptions, SITUATIONS } from '../../bench/options.js';

t.test('a quick run has few short rounds, and a budget below its three minutes', (t) => {
  const quick = readOptions(['--quick']);
  const whole = readOptions([]);
  t.ok(quick.rounds * quick.seconds < whole.rounds * whole.seconds);
  t.ok(quick.budget < 180);
  t.equal(whole.budget, Number.POSITIVE_INFINITY);
  t.ok(quick.warmUpSeconds >= 1, 'but nobody is measured cold');
  t.end();
});

t.test('what the command line says goes before what --quick means', (t) => {
  const { rounds, seconds, only } = readOptions([
    '--quick',
    '--rounds',
    '5',
    '--seconds',
    '2',
    '--only',
    'hit',
  ]);
  t.same({ rounds, seconds, only }, { rounds: 5, seconds: 2, only: ['hit'] });
  t.end();
});

t.test('an option that cannot be meant is refused by name', (t) => {
  t.throws(() => readOptions(['--only', 'hit,his']), {
    message: `--only: "his" is none of ${SITUATIONS.join(', ')}`,
  });
  t.throws(() => readOptions(['--curves', 'rules,rulez']), {
    message: /--curves: "rulez" is none of .*tokens/,
  });
  t.throws(() => readOptions(['--rounds', '0']), { message: /--rounds: "0"/ });
  t.throws(() => readOptions(['--rounds', '1.5']), { message: /--rounds: "1.5"/ });
  t.throws(() => readOptions(['--seconds', 'two']), { message: /--seconds: "two"/ });
  t.throws(() => readOptions(['--quik']), { code: 'ERR_PARSE_ARGS_UNKNOWN_OPTION' });
  t.end();
});
