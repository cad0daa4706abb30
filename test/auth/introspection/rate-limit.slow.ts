import { createHash } from 'node:crypto';
import t from 'tap';
import { AnswerCache } from '../../../src/auth/introspection/cache.js';
import { createIntrospector } from '../../../src/auth/introspection/introspector.js';
import { UnknownTokenLimiter } from '../../../src/auth/introspection/rate-limit.js';
import type { Endpoint } from '../../../src/model/authorization-server.js';
import { systemClock } from '../../../src/model/clock.js';
import type { Introspected } from '../../../src/model/introspection.js';
import { clientAddressReader } from '../../../src/parse/client-address.js';
import { readFields } from '../../../src/parse/fields.js';
import { ask } from '../../ask.js';
import { startTestGateway } from '../../gateway.js';
import { crowdWithOneToken, floodWithBadTokens } from './rate-limit.js';

/** Bytes in use after a collection. */
function used(): number {
  if (globalThis.gc === undefined) throw new Error('needs --expose-gc');
  globalThis.gc();
  globalThis.gc();
  return process.memoryUsage().heapUsed;
}

t.before(async () => {
  const { setFlagsFromString } = await import('node:v8');
  const { runInNewContext } = await import('node:vm');
  setFlagsFromString('--expose-gc');
  globalThis.gc = runInNewContext('gc') as typeof globalThis.gc;
});

t.test(
  '1,000,000 random tokens of one client: bounded memory, good tokens hit, the server is left in peace',
  async (t) => {
    const MILLION = 1_000_000;
    const ALLOWED = 100;
    const endpoint: Endpoint = { url: 'http://as.example/introspect', headers: {}, auth: { method: 'none' } };
    const good = { active: true, claims: {}, scopes: ['read'], audience: [] } as const;
    let asked = 0;
    const started = performance.now();
    const introspector = createIntrospector({
      client: {
        call: async (_endpoint, token) => {
          asked++;
          return token.startsWith('good') ? good : { active: false };
        },
      },
      cache: new AnswerCache(
        { ttl: 3_600_000, negativeTtl: 3_600_000, maxEntries: 1_000, negativeMaxEntries: 1_000 },
        systemClock,
      ),
      limits: { timeout: 2_000, concurrency: 128, queue: 1024, breaker: { failures: 5, openFor: 5_000 } },
      clock: systemClock,
      onFailure: () => {},
      unknownTokens: {
        limiter: new UnknownTokenLimiter({ badTokens: ALLOWED, per: 60_000, maxClients: 1_000 }, systemClock),
        addressOf: clientAddressReader([]),
      },
    });
    const fields = readFields(['Host', 'gate.example'], '1.1');
    if ('refused' in fields) throw new Error(fields.refused);
    const asker = { peer: { address: '192.0.2.1', secure: false, trusted: false }, fields };
    for (let i = 0; i < 500; i++) await introspector.introspect(endpoint, `good-${i}`, asker);
    const before = used();
    const counts = { hit: 0, limited: 0, inactive: 0, other: 0 };
    for (let i = 0; i < MILLION; i++) {
      const token = createHash('sha256').update(`${i}`).digest('base64url');
      const result = introspector.introspect(endpoint, token, asker);
      const settled: Introspected = result instanceof Promise ? await result : result;
      if (!settled.ok && settled.limited === true) counts.limited++;
      else if (settled.ok && !settled.answer.active) counts.inactive++;
      else counts.other++;
      if (i % 1_000 === 0) {
        const known = introspector.introspect(endpoint, `good-${(i / 1_000) % 500}`, asker);
        if (!(known instanceof Promise) && known.ok && known.trace.from === 'hit') counts.hit++;
      }
    }
    const grown = used() - before;
    const seconds = (performance.now() - started) / 1000;
    const most = ALLOWED + Math.ceil((seconds / 60) * ALLOWED);
    t.comment(`${asked - 500} calls, ${Math.round(grown / 1024)} KiB more, ${seconds.toFixed(1)} s`);
    t.equal(counts.hit, MILLION / 1_000, 'good tokens stayed in the cache');
    t.equal(counts.other, 0);
    t.ok(asked - 500 >= ALLOWED && asked - 500 <= most, `${asked - 500} of at most ${most} calls`);
    t.equal(counts.inactive + counts.limited, MILLION);
    t.ok(grown < 4 * 1024 * 1024, `${grown} bytes more`);
  },
);

t.test('the same through the gateway, with 20,000', async (t) => {
  const gate = await startTestGateway(t, {
    settings: { introspection: { flood: { badTokens: 50, per: '1h' } }, log: { audit: false } },
  });
  t.equal((await ask(gate, '/x', { token: 'good-read' })).status, 200);
  const statuses = new Map<number, number>();
  let next = 0;
  const flood = async (): Promise<void> => {
    while (next < 20_000) {
      const n = next++;
      const { status } = await ask(gate, '/x', { token: n % 100 === 0 ? 'good-read' : `random-${n}` });
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: 32 }, flood));
  t.equal(statuses.get(200), 200, 'every request with the good token');
  t.equal(statuses.get(401), 50);
  t.equal(statuses.get(429), 20_000 - 250);
  t.equal(gate.endpoint.asked.length, 51);
});

t.test('10,000 distinct bad tokens: calls bounded, good tokens still served', (t) =>
  floodWithBadTokens(t, 10_000),
);

t.test('1,000 requests with one new token make one introspection; who leaves cancels nobody else', (t) =>
  crowdWithOneToken(t, 1_000),
);
