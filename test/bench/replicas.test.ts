import t, { type Test } from 'tap';
import { type Fleet, simulate } from '../../bench/replicas/simulate.js';

/** Compares within four percent: the simulation is of a sample. */
function near(t: Test, value: number, expected: number, what: string): void {
  t.ok(Math.abs(value / expected - 1) < 0.04, `${what}: ${value} of ${expected}`);
}

const FLEETS: readonly Fleet[] = [
  { replicas: 1, tokens: 10_000, rate: 1_000, ttl: 60 },
  { replicas: 4, tokens: 10_000, rate: 40_000, ttl: 60 },
  { replicas: 1_000, tokens: 10_000_000, rate: 1_000_000, ttl: 60 },
  { replicas: 10, tokens: 1_000_000, rate: 1_000, ttl: 5 },
];

t.test('counts are those of renewal theory', (t) => {
  for (const fleet of FLEETS) {
    const { replicas, tokens, rate, ttl } = fleet;
    const each = rate / tokens;
    const { alone, shared, stored } = simulate(fleet);
    const where = JSON.stringify(fleet);
    // A cycle is the life of an answer and the wait for the next request after it.
    near(t, shared, tokens / (ttl + 1 / each), `${where} with the store`);
    near(t, alone, (tokens * replicas) / (ttl + replicas / each), `${where} without`);
    near(t, stored, (tokens * ttl) / (ttl + 1 / each), `${where} stored`);
  }
  t.end();
});

t.test('with a store, more replicas cost the authorization server nothing', (t) => {
  const fleet = { tokens: 10_000, rate: 10_000, ttl: 60 };
  const few = simulate({ ...fleet, replicas: 1 });
  const many = simulate({ ...fleet, replicas: 100 });
  near(t, many.shared, few.shared, 'introspections');
  t.ok(many.alone > 30 * few.alone, 'without one, nearly a hundred times as much');
  t.ok(many.lookups > 30 * few.lookups, 'the store is asked instead');
  t.equal(many.storeOut, many.alone, 'an outage of the store brings that back');
  t.end();
});

t.test('one replica asks the same with a store and without', (t) => {
  const { alone, shared, lookups, writes } = simulate({ replicas: 1, tokens: 1_000, rate: 1_000, ttl: 60 });
  t.equal(alone, shared);
  t.equal(lookups, shared);
  t.equal(writes, shared);
  t.end();
});

t.test('the same seed gives the same answer, another one a near one', (t) => {
  const fleet = { replicas: 10, tokens: 10_000, rate: 10_000, ttl: 60 };
  t.same(simulate(fleet), simulate(fleet));
  t.not(simulate(fleet, 1).alone, simulate(fleet, 2).alone);
  near(t, simulate(fleet, 1).alone, simulate(fleet, 2).alone, 'another seed');
  t.end();
});

t.test('the longer an outage of the server is, in lives of an answer, the more is refused', (t) => {
  const { refused } = simulate({ replicas: 4, tokens: 1_000, rate: 10_000, ttl: 60 });
  t.ok(refused > 0.48 && refused < 0.52, `half of the requests in an outage of one ttl: ${refused}`);
  t.end();
});
