import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { checksOf } from '../../bench/replicas/blocks.js';
import { delaying } from '../../bench/replicas/delay.js';
import { type Span, sumOf } from '../../bench/replicas/fleet.js';
import { LITTLE, sized, type Timed, WHOLE } from '../../bench/replicas/measure.js';
import { type Fleet, play, simulate } from '../../bench/replicas/simulate.js';

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

t.test('empty caches ask once for each token that comes, without a store once at each gateway', (t) => {
  const fleet = { replicas: 4, tokens: 10_000, rate: 1_000, ttl: 60 };
  const { alone, shared, lookups, stored } = play(fleet, { from: 0, to: 20 });
  // The share of tokens that come at all within 20 s, at any gateway and at one.
  near(t, shared, 10_000 * (1 - Math.exp(-2)), 'with the store');
  near(t, alone, 40_000 * (1 - Math.exp(-0.5)), 'without');
  near(t, lookups, alone, 'each gateway looks into the store once');
  near(t, stored, shared, 'all of them are there');
  t.end();
});

t.test('gateways that restart find the store as it was', (t) => {
  const fleet = { replicas: 4, tokens: 10_000, rate: 2_000, ttl: 60 };
  const window = { from: 100, to: 120 };
  const [calm, restarted] = [play(fleet, window), play(fleet, { ...window, restart: 100 })];
  near(t, restarted.shared, calm.shared, 'introspections with the store');
  t.ok(restarted.lookups > 1.3 * calm.lookups, 'the store is asked more');
  t.ok(restarted.alone > 1.3 * calm.alone, 'and so is the authorization server, without one');
  t.end();
});

t.test('what gateways measure is held against the simulation of the same seconds', (t) => {
  const span = (from: number, to: number, counts: Partial<Span> = {}): Timed => ({
    from,
    to,
    requests: 500 * (to - from),
    rate: 500,
    refused: 0,
    introspections: 100,
    lookups: { hit: 100, shared: 50, miss: 50, coalesced: 0 },
    cpu: 100,
    p50: 1,
    p99: 2,
    ...counts,
  });
  const steady = span(6, 12);
  const { alone } = play({ ...LITTLE, rate: 500 }, { from: 6, to: 12 });
  const checks = checksOf({
    size: LITTLE,
    alone: { cold: span(0, 3), steady: { ...steady, introspections: alone }, memory: 1 },
    sharing: {
      cold: span(0, 3),
      steady,
      restarted: span(12, 15),
      memory: 1,
      store: { commands: {}, answers: 10, memory: 1_000, cpu: 1 },
    },
    distances: [],
    near: { without: 1, with: 1, ratio: { median: 1, low: 1, high: 1 } },
  });
  const found = checks.find(({ what }) => what === 'introspections a second, warm, no store');
  t.equal(found?.measured, found?.simulated);
  t.equal(found?.measured, alone / 6);
  t.equal(checks.find(({ what }) => what === 'hit rate of the store')?.measured, 0.5);
  t.end();
});

t.test('look-ups of all gateways are added up, by where the answers came from', (t) => {
  const page = (hit: number, miss: number) => `# TYPE scopegate_introspection_lookups_total counter
scopegate_introspection_lookups_total{result="hit"} ${hit}
scopegate_introspection_lookups_total{result="negative_hit"} 7
scopegate_introspection_lookups_total{result="miss"} ${miss}
`;
  t.same(sumOf([page(1, 2), page(10, 20)]), { hit: 11, shared: 0, miss: 22, coalesced: 0 });
  t.end();
});

t.test(
  'a distant store gets all bytes in order, each so many milliseconds later, and answers at once',
  async (t) => {
    const store = createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1');
    await once(store, 'listening');
    const waits: number[] = [];
    const proxy = delaying((store.address() as AddressInfo).port, 20, (work, ms) => {
      waits.push(ms);
      work();
    }).listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    t.teardown(() => {
      store.close();
      proxy.close();
    });
    const client: Socket = connect((proxy.address() as AddressInfo).port, '127.0.0.1');
    const sent = 'GETRANGE '.repeat(50_000);
    client.end(sent);
    let got = '';
    for await (const chunk of client) got += chunk;
    t.equal(got, sent);
    t.ok(waits.length > 1);
    t.same([...new Set(waits)], [20]);
  },
);

t.test('a run with fewer tokens has as many requests for each of them', (t) => {
  const { tokens, rate, distant } = sized(WHOLE, WHOLE.tokens / 10);
  t.equal(rate / tokens, WHOLE.rate / WHOLE.tokens);
  t.equal(distant.tokens, WHOLE.distant.tokens / 10);
  t.end();
});
