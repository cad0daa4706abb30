import t from 'tap';
import { ask } from '../../ask.js';
import { fakeClock } from '../../clock.js';
import { apiRule, rule, startTestGateway } from '../../gateway.js';
import { start } from '../../stack/authorization-server.js';
import { until } from '../../until.js';

/** Requests of each kind that a phase lasts at least. */
const PHASE = 60;

t.test(
  'Hydra’s database goes away under load: no valid token is 401, and all recovers by itself',
  async (t) => {
    const hydra = await start();
    t.teardown(() => hydra.close());
    // Ahead of the tokens, which are issued by the machine's clock.
    const clock = fakeClock(Math.floor(Date.now() / 1000) + 60);
    const gate = await startTestGateway(t, {
      rules: apiRule('gate.example', [
        rule('/headers', ['GET'], 'read'),
        rule('/stale', ['GET'], 'read', { scopegate: { staleIfError: '5m' } }),
      ]),
      clock,
      settings: {
        introspection: { url: hydra.introspectionUrl, cache: { ttl: '20s', refreshBefore: '15s' } },
      },
      respond: (_message, response) => response.end(),
    });
    const issue = () => hydra.issueToken({ lifetime: 3600 });
    const cached = await Promise.all(Array.from({ length: 10 }, issue));
    const stale = await Promise.all(Array.from({ length: 10 }, issue));
    const fresh = await Promise.all(Array.from({ length: 8_000 }, issue));
    for (const token of cached) await ask(gate, '/headers', { token });
    for (const token of stale) await ask(gate, '/stale', { token });

    const pick = (tokens: readonly string[], i: number) => tokens[i % tokens.length] as string;
    const kinds = {
      cached: (i: number) => ask(gate, '/headers', { token: pick(cached, i) }),
      stale: (i: number) => ask(gate, '/stale', { token: pick(stale, i) }),
      fresh: () => ask(gate, '/headers', { token: fresh.pop() ?? '' }),
    };
    type Kind = keyof typeof kinds;
    const NAMES = Object.keys(kinds) as Kind[];
    let counts: Record<Kind, Map<number, number>>;
    const everything = new Set<number>();
    const begin = () => {
      counts = { cached: new Map(), stale: new Map(), fresh: new Map() };
    };
    begin();
    let running = true;
    const workers = NAMES.flatMap((kind) =>
      Array.from({ length: 6 }, async (_, worker) => {
        for (let i = worker; running; i += 7) {
          const mine = counts;
          const { status } = await kinds[kind](i);
          mine[kind].set(status, (mine[kind].get(status) ?? 0) + 1);
          everything.add(status);
        }
      }),
    );
    const total = (kind: Kind) => [...counts[kind].values()].reduce((sum, count) => sum + count, 0);
    const statuses = (kind: Kind) => [...counts[kind].keys()].sort();
    /** Lets a phase last; requests that began before it count for the one before. */
    const phase = async () => {
      begin();
      await until(() => NAMES.every((kind) => total(kind) >= PHASE));
    };

    await phase();
    t.same(NAMES.map(statuses), [[200], [200], [200]], 'all is well');

    hydra.setDatabase('down');
    await phase();
    t.same(statuses('cached'), [200], 'what is cached goes on');
    t.same(statuses('stale'), [200]);
    t.same(statuses('fresh'), [503], 'what is not cached is told to come again');

    clock.advance(6_000);
    await phase();
    t.same(statuses('cached'), [200], 'a refresh ends nothing');

    clock.advance(14_000);
    await phase();
    t.same(statuses('cached'), [503], 'at the end of its life a cached answer is gone');
    t.same(statuses('stale'), [200], 'unless its rule goes on with it');
    t.same(statuses('fresh'), [503]);
    t.equal((await ask(gate, '/headers', { token: 'ory_at_unknown' })).status, 503, 'nobody can tell');

    hydra.setDatabase('up');
    clock.advance(1_000);
    await phase();
    await phase();
    t.same(NAMES.map(statuses), [[200], [200], [200]], 'and recovers');
    t.notOk(everything.has(401), 'never an invalid token');
    running = false;
    await Promise.all(workers);
    clock.advance(1_000);
    await ask(gate, '/headers', { token: 'ory_at_unknown-1' });
    t.equal((await ask(gate, '/headers', { token: 'ory_at_unknown-2' })).status, 401);
    t.ok(fresh.length > 0, 'there were tokens enough');
    t.ok(hydra.readinessChecks <= 8, `${hydra.readinessChecks} readiness checks`);
  },
);
