import t from 'tap';
import { behaviourOf } from '../../../src/rules/pattern/backtracking.js';

t.test('what is harmless is never found to be an attack because the machine is slow', (t) => {
  const now = performance.now.bind(performance);
  t.teardown(() => {
    performance.now = now;
  });
  for (const [every, halt] of [
    [20_000, 1_100],
    [3_000, 300],
    [300, 40],
  ] as const) {
    // The analysis is held up again and again: at every so many looks at its clock, some milliseconds have passed.
    let looks = 0;
    performance.now = () => {
      looks++;
      return now() + Math.floor(looks / every) * halt;
    };
    // The letter differs from round to round: what is known of a pattern would be answered without an analysis.
    const letter = String.fromCharCode('a'.charCodeAt(0) + every.toString().length);
    for (const pattern of [
      new RegExp(`^(?:\\/.*(?<=${letter}))$`),
      new RegExp(`^(?:\\/.*(?<!${letter})z)$`),
    ]) {
      looks = 0;
      const { verdict } = behaviourOf(pattern);
      t.not(verdict, 'super-linear', `${pattern}: ${verdict}`);
      t.ok(looks > every, 'its clock jumped');
    }
  }
  t.end();
});
