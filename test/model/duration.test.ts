import t from 'tap';
import { DURATION_PATTERN, LONGEST_DURATION, parseDuration } from '../../src/model/duration.js';

t.test('reads a whole number with its unit as milliseconds', (t) => {
  const cases: Readonly<Record<string, number>> = {
    '500ms': 500,
    '2s': 2000,
    '5m': 300_000,
    '1h': 3_600_000,
    '0': 0,
    '0s': 0,
  };
  for (const [text, milliseconds] of Object.entries(cases)) t.equal(parseDuration(text), milliseconds, text);
  t.end();
});

t.test('refuses everything else, as the schema pattern does', (t) => {
  for (const text of ['', '5', '1.5s', '-1s', '2 s', '2S', '1d', 's', '1h30m', '1e3ms', '２s']) {
    t.equal(parseDuration(text), undefined, text);
    t.notMatch(text, new RegExp(DURATION_PATTERN), text);
  }
  t.end();
});

t.test('refuses what no timer can wait for, because Node would fire at once', (t) => {
  t.equal(parseDuration('2147483s'), 2_147_483_000);
  t.ok(2_147_483_000 <= LONGEST_DURATION);
  t.equal(parseDuration('2147484s'), undefined);
  t.equal(parseDuration('600h'), undefined);
  t.equal(parseDuration('999999999h'), undefined);
  t.end();
});
