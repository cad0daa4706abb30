import { Random } from '../../test/fuzz/random.js';

/** Gateways in front of one authorization server. */
export interface Fleet {
  readonly replicas: number;
  /** Tokens in use. */
  readonly tokens: number;
  /** Requests a second of all tokens together, each token as often as any other, at replicas in no order. */
  readonly rate: number;
  /** `introspection.cache.ttl`, in seconds. */
  readonly ttl: number;
}

/** What a fleet asks of others, for each second once its caches are warm. */
export interface Demand {
  /** Introspections without a shared store. */
  readonly alone: number;
  /** Introspections with one. */
  readonly shared: number;
  /** Look-ups in the store. */
  readonly lookups: number;
  /** Answers written to the store. */
  readonly writes: number;
  /** Answers that the store holds. */
  readonly stored: number;
  /** Gateways that one purge is told to. */
  readonly fanOut: number;
  /** Introspections a second while the store is out: each gateway falls back on a cache of its own. */
  readonly storeOut: number;
  /** Share of requests that get 503 on average during an outage of the server for one `ttl`, with the shared store. */
  readonly refused: number;
}

/** A time that is looked at, in seconds since all caches were empty. */
export interface Window {
  readonly from: number;
  readonly to: number;
  /** When all gateways restarted, with empty caches of their own; the store kept what it had. */
  readonly restart?: number;
}

/** What happened in a {@link Window}. */
export interface Counts {
  readonly requests: number;
  /** Introspections without a shared store, and with one. */
  readonly alone: number;
  readonly shared: number;
  /** Look-ups in the store. */
  readonly lookups: number;
  /** Answers in the store at the end. */
  readonly stored: number;
  /** Of requests, if the server went out at that moment for one `ttl`: what would be refused, on average, with the store. */
  readonly refused: number;
}

/** Requests that are simulated, at most; tokens are alike, so some of them stand for all. */
const EVENTS = 200_000;
const MIN_TOKENS = 20;
/** Lives of an entry that are simulated. */
const LIVES = 20;
/** Of these, the first do not count, while caches are cold. */
const WARM = 2;

/**
 * Says what a fleet asks of others once its caches are warm.
 *
 * @param seed the same seed gives the same answer
 */
export function simulate(fleet: Fleet, seed = 7662): Demand {
  const { replicas, tokens, rate, ttl } = fleet;
  // A token that is seldom used needs a longer look to be seen at all.
  const span = LIVES * Math.max(ttl, tokens / rate);
  const from = (WARM / LIVES) * span;
  const { requests, alone, shared, lookups, refused } = play(fleet, { from, to: span }, seed);
  const seconds = span - from;
  return {
    alone: alone / seconds,
    shared: shared / seconds,
    lookups: lookups / seconds,
    writes: shared / seconds,
    // Each answer stays for its life.
    stored: (shared * ttl) / seconds,
    fanOut: replicas,
    storeOut: alone / seconds,
    refused: requests === 0 ? 1 : refused / requests,
  };
}

/**
 * Plays requests of some tokens through caches that keep an answer for `ttl`, and scales the counts up.
 * Each token is a Poisson process of its own, so tokens can be taken one by one. The shared answer expires for all gateways
 * `ttl` after it was introspected, because a gateway that takes it from the store takes its end as well.
 *
 * @param seed the same seed gives the same answer
 */
export function play({ replicas, tokens, rate, ttl }: Fleet, window: Window, seed = 7662): Counts {
  const { from, to, restart = Number.POSITIVE_INFINITY } = window;
  const random = new Random(seed);
  const each = rate / tokens;
  const sample = Math.min(tokens, Math.max(MIN_TOKENS, Math.floor(EVENTS / Math.max(1, each * to))));
  const counts = { requests: 0, alone: 0, shared: 0, lookups: 0, stored: 0, refused: 0 };
  for (let token = 0; token < sample; token++) {
    /** When the answer of each replica ends: without the store, and with it. */
    const own = new Map<number, number>();
    const near = new Map<number, number>();
    let stored = 0;
    let hasRestarted = false;
    for (let now = wait(random, each); now < to; now += wait(random, each)) {
      const replica = random.below(replicas);
      const one = now >= from ? 1 : 0;
      if (now >= restart && !hasRestarted) {
        hasRestarted = true;
        own.clear();
        near.clear();
      }
      counts.requests += one;
      // An outage that begins now finds this much of the answer's life left, or none.
      counts.refused += one * (1 - Math.max(0, stored - now) / ttl);
      if ((own.get(replica) ?? 0) <= now) {
        own.set(replica, now + ttl);
        counts.alone += one;
      }
      if ((near.get(replica) ?? 0) <= now) {
        counts.lookups += one;
        if (stored <= now) {
          stored = now + ttl;
          counts.shared += one;
        }
        near.set(replica, stored);
      }
    }
    if (stored > to) counts.stored++;
  }
  const scale = tokens / sample;
  const { requests, alone, shared, lookups, stored, refused } = counts;
  return {
    requests: requests * scale,
    alone: alone * scale,
    shared: shared * scale,
    lookups: lookups * scale,
    stored: stored * scale,
    refused: refused * scale,
  };
}

/** Seconds until the next request of a Poisson process. */
function wait(random: Random, rate: number): number {
  return -Math.log(1 - random.next()) / rate;
}
