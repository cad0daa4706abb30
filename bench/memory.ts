/**
 * What the cache of introspection answers takes for each token, and what a hit in it costs, as it grows.
 *
 *     npm run bench -- --only cache
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { readAnswer } from '../src/auth/introspection/answer.js';
import { AnswerCache } from '../src/auth/introspection/cache.js';
import { entrySize } from '../src/auth/introspection/entry-size.js';
import { createIntrospector, type LocalIntrospector } from '../src/auth/introspection/introspector.js';
import type { ActiveAnswer } from '../src/model/introspection.js';
import { median } from './report.js';
import { tokenOf } from './token.js';

const collect = globalThis.gc;
if (collect === undefined) throw new Error('start it with --expose-gc');

const SIZES = [1_000, 10_000, 100_000, 1_000_000];
const HITS = 200_000;
const ROUNDS = 9;
/** Tokens that are held at least while memory is looked at. */
const ENOUGH = 100_000;
/** Introspections that are in flight at once while the cache is filled. */
const BATCH = 1_000;

const endpoint = {
  url: 'http://127.0.0.1:4445/admin/oauth2/introspect',
  headers: {},
  auth: { method: 'none' },
} as const;
const clock = { wall: () => Date.now() / 1000, monotonic: () => performance.now() };
const limits = {
  timeout: 2_000,
  concurrency: BATCH,
  queue: BATCH,
  breaker: { failures: 5, openFor: 5_000 },
};

const CLIENTS = Array.from({ length: 100 }, () => randomUUID());
const SCOPES = [
  'read',
  'read write',
  'openid offline_access read write',
  'orders:read orders:write invoices:read',
];

/** What Hydra says of a user's access token, as text; every answer has a subject and times of its own. */
function answerOf(number: number): string {
  const now = Math.floor(Date.now() / 1000);
  return JSON.stringify({
    active: true,
    scope: SCOPES[number % SCOPES.length],
    client_id: CLIENTS[number % CLIENTS.length],
    sub: randomUUID(),
    exp: now + 3_600 + (number % 600),
    iat: now - (number % 600),
    nbf: now - (number % 600),
    aud: ['https://api.example.com'],
    iss: 'https://login.example.com/',
    token_type: 'Bearer',
    token_use: 'access_token',
    ext: { tenant: randomBytes(6).toString('hex'), roles: ['user'] },
  });
}

/** Heap and what it holds outside of it, in bytes. */
function held(): number {
  collect?.();
  collect?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

async function fill(tokens: number): Promise<LocalIntrospector> {
  let asked = 0;
  const caller = { call: async () => readAnswer(answerOf(asked++)) };
  const cache = new AnswerCache(
    { ttl: 3_600_000, negativeTtl: 5_000, maxEntries: tokens, maxBytes: 2 ** 40, negativeMaxEntries: 1 },
    clock,
  );
  const introspector = createIntrospector({ client: caller, cache, limits, clock });
  for (let number = 0; number < tokens; number += BATCH) {
    await Promise.all(
      Array.from({ length: Math.min(BATCH, tokens - number) }, (_, i) =>
        introspector.introspect(endpoint, tokenOf(number + i)),
      ),
    );
  }
  if (cache.size.active !== tokens) throw new Error(`${cache.size.active} of ${tokens} are held`);
  return introspector;
}

/** Processor time of a hit in nanoseconds; tokens are asked for in no order the cache could know. */
function costOfHit(introspector: LocalIntrospector, tokens: number): number {
  const asked = Array.from({ length: HITS }, (_, i) => tokenOf((i * 7_919) % tokens));
  const { user, system } = process.cpuUsage();
  for (const token of asked) {
    const result = introspector.introspect(endpoint, token);
    if (result instanceof Promise) throw new Error('that was no hit');
  }
  const spent = process.cpuUsage({ user, system });
  return ((spent.user + spent.system) * 1_000) / HITS;
}

// What compilers make on the way is no entry's.
costOfHit(await fill(1_000), 1_000);
const estimate = Array.from({ length: 1_000 }, (_, i) => entrySize(readAnswer(answerOf(i)) as ActiveAnswer));
console.log(`an answer is estimated at ${median(estimate)} bytes`);
console.log(row('tokens', 'bytes each', 'hit, ns', 'min–max'));
for (const tokens of SIZES) console.log(row(...(await measure(tokens))));

async function measure(tokens: number): Promise<string[]> {
  // Few tokens weigh less than what happens to come and go meanwhile: so there are several caches of them.
  const caches = Math.max(1, Math.ceil(ENOUGH / tokens));
  const before = held();
  const filled: LocalIntrospector[] = [];
  while (filled.length < caches) filled.push(await fill(tokens));
  const bytes = (held() - before) / tokens / caches;
  const costs = Array.from({ length: ROUNDS }, () => costOfHit(filled[0] as LocalIntrospector, tokens));
  const spread = `${Math.min(...costs).toFixed(0)}–${Math.max(...costs).toFixed(0)}`;
  return [tokens.toLocaleString('en'), bytes.toFixed(0), median(costs).toFixed(0), spread];
}

function row(...cells: readonly string[]): string {
  return cells.map((cell) => cell.padStart(14)).join('');
}
