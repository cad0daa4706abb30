import t from 'tap';
import { percentilesOf, Schedule } from '../../bench/latency.js';

t.test('percentiles are latencies that requests had, by nearest rank', (t) => {
  const values = Array.from({ length: 1000 }, (_, i) => 1000 - i);
  t.same(percentilesOf(values), { p50: 500, p99: 990, p999: 999 });
  t.same(percentilesOf([7]), { p50: 7, p99: 7, p999: 7 });
  t.same(percentilesOf([1, 2]), { p50: 1, p99: 2, p999: 2 });
  t.same(percentilesOf([100, 9, 20]).p50, 20, 'numbers are sorted as numbers');
  t.same(percentilesOf([]), { p50: Number.NaN, p99: Number.NaN, p999: Number.NaN });
  t.end();
});

t.test('requests are due at their rate, whatever happens', (t) => {
  const schedule = new Schedule(1000, 0.003);
  t.equal(schedule.total, 3);
  t.equal(schedule.take(0), 0);
  t.equal(schedule.take(0.5), undefined, 'the second is not due yet');
  t.equal(schedule.wait(0.25), 0.75);
  t.equal(schedule.take(1), 1);
  t.equal(schedule.take(9), 2, 'the third counts from when it was due');
  t.equal(schedule.take(9), undefined);
  t.equal(schedule.wait(9), undefined, 'there are no more');
  t.end();
});

/**
 * One connection to a server that answers at once, but once stands still.
 *
 * @returns the latency of each request, in milliseconds
 */
function latencies(stall: { from: number; until: number }): number[] {
  const schedule = new Schedule(1000, 1);
  const taken: number[] = [];
  for (let now = 0; schedule.wait(now) !== undefined; now += 0.25) {
    if (now >= stall.from && now < stall.until) continue;
    for (let due = schedule.take(now); due !== undefined; due = schedule.take(now)) taken.push(now - due);
  }
  return taken;
}

t.test('a server that stands still for 100 ms delays all who were due meanwhile, not one', (t) => {
  const all = latencies({ from: 200, until: 300 });
  t.equal(all.length, 1000);
  t.equal(all.filter((latency) => latency > 0).length, 100);
  t.equal(Math.max(...all), 100);
  const { p50, p99 } = percentilesOf(all);
  t.equal(p50, 0);
  t.equal(p99, 90, 'a load that counts from the moment of sending would say 0 here');
  t.end();
});
