import t from 'tap';
import { behaviourOf } from '../../../src/rules/pattern/backtracking.js';

t.test('what is harmless is never found to be an attack because the machine is slow', (t) => {
  const now = performance.now.bind(performance);
  t.teardown(() => {
    performance.now = now;
  });
  for (const [every, halt] of [
    [50, 1_100],
    [20, 300],
    [2, 40],
  ] as const) {
    // The analysis is held up again and again: its clock goes on, and it does not.
    let held = 0;
    let last = now();
    performance.now = () => {
      const time = now();
      if (time - last > every) {
        last = time;
        held += halt;
      }
      return time + held;
    };
    for (const pattern of [/^(?:\/.*(?<=a))$/, /^(?:\/.*(?<!a)b)$/]) {
      const { verdict } = behaviourOf(pattern);
      t.not(verdict, 'super-linear', `${pattern}: ${verdict}`);
    }
    t.ok(held > halt, 'it looked at the clock');
  }
  t.end();
});
