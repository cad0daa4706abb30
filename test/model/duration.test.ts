import t from 'tap';
import {
  DURATION_PATTERN,
  goDurationNanoseconds,
  LONGEST_DURATION,
  oathkeeperDurationSeconds,
  parseDuration,
} from '../../src/model/duration.js';

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

t.test('reads durations as Go prints them, and as Oathkeeper writes them', (t) => {
  for (const [text, nanoseconds] of [
    ['1h30m0s', 5_400e9],
    ['1.5s', 1.5e9],
    ['500ms', 5e8],
    ['2us', 2_000],
    ['2µs', 2_000],
    ['1ns', 1],
    ['0s', 0],
  ] as const)
    t.equal(goDurationNanoseconds(text), nanoseconds, text);
  for (const text of ['', '5', 'h', '1h 30m', '-1s', '1d', '1.s'])
    t.equal(goDurationNanoseconds(text), undefined, text);
  for (const [text, seconds] of [
    ['30s', 30],
    ['15m', 900],
    ['1h', 3_600],
    ['250ms', 0.25],
    ['100ns', 1e-7],
  ] as const)
    t.equal(oathkeeperDurationSeconds(text), seconds, text);
  t.end();
});
