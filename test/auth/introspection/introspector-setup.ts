import { AnswerCache } from '../../../src/auth/introspection/cache.js';
import { CallFailed } from '../../../src/auth/introspection/errors.js';
import {
  createIntrospector,
  type SecondTier,
  type UnknownTokenLimit,
} from '../../../src/auth/introspection/introspector.js';
import type { Endpoint } from '../../../src/model/authorization-server.js';
import type {
  ActiveAnswer,
  Answer,
  Asker,
  Introspected,
  Introspector,
} from '../../../src/model/introspection.js';
import { type FakeClock, fakeClock } from '../../clock.js';

export const cacheLimits = { ttl: 60_000, negativeTtl: 5_000, maxEntries: 1000, negativeMaxEntries: 100 };
export const limits = { timeout: 3_000, concurrency: 4, queue: 4, breaker: { failures: 3, openFor: 5_000 } };
export const endpoint: Endpoint = {
  url: 'http://as.example/introspect',
  headers: {},
  auth: { method: 'none' },
};
export const active: ActiveAnswer = { active: true, claims: {}, scopes: ['read'], audience: [] };

/** One call that the test answers. */
export interface Call {
  readonly endpoint: Endpoint;
  readonly token: string;
  readonly signal: AbortSignal;
  answer(answer: Answer): void;
  fail(error: Error): void;
}

/** What only some tests are about. */
export interface Parts {
  /** Milliseconds. */
  readonly refreshBefore?: number;
  readonly flood?: (clock: FakeClock) => UnknownTokenLimit;
  readonly shared?: SecondTier;
}

export function setUp(more: Partial<typeof limits> = {}, cached = true, parts: Parts = {}) {
  const clock = fakeClock();
  const calls: Call[] = [];
  const failures: string[] = [];
  const cache = new AnswerCache({ ...cacheLimits, refreshBefore: parts.refreshBefore ?? 0 }, clock);
  const introspector = createIntrospector({
    client: {
      call: (endpoint, token, signal) =>
        new Promise((answer, fail) => calls.push({ endpoint, token, signal, answer, fail })),
    },
    cache: cached ? cache : undefined,
    limits: { ...limits, ...more },
    clock,
    onFailure: (_endpoint, cause) => failures.push(cause),
    unknownTokens: parts.flood?.(clock),
    shared: parts.shared,
  });
  return { clock, calls, cache, failures, introspector };
}

export function last(calls: readonly Call[]): Call {
  return calls.at(-1) as Call;
}

/** Lets everything that is ready to run, run. */
export const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

export async function ask(introspector: Introspector, token: string, of = endpoint): Promise<Introspected> {
  return introspector.introspect(of, token);
}

/** Answers are asked for again in the last ten of their sixty seconds. */
export const R = 10_000;

/** One whose token was asked about, answered and, unless the test wants it otherwise, used once. */
export async function warm(
  parts: Parts = {},
  more: Partial<typeof limits> = {},
  answer: Answer = active,
  uses = 1,
) {
  const set = setUp(more, true, { refreshBefore: R, ...parts });
  const asked = ask(set.introspector, 't');
  await settled();
  last(set.calls).answer(answer);
  await asked;
  const hit = (token = 't', asker?: Asker): void => {
    const result = set.introspector.introspect(endpoint, token, asker);
    if (result instanceof Promise || result.trace.from !== 'hit' || !result.ok) throw new Error('no hit');
  };
  for (let i = 0; i < uses; i++) hit();
  return { ...set, hit };
}
export const answered = new Set<unknown>();

export async function failTimes(
  introspector: Introspector,
  calls: readonly Call[],
  times: number,
): Promise<void> {
  for (let i = 0; i < times; i++) {
    const asked = ask(introspector, `failing-${i}`);
    await settled();
    last(calls).fail(new CallFailed('no'));
    await asked;
  }
}
