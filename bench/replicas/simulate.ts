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

/** Requests that are simulated, at most; tokens are alike, so some of them stand for all. */
const EVENTS = 200_000;
const MIN_TOKENS = 20;
/** Lives of an entry that are simulated. */
const LIVES = 20;
/** Of these, the first do not count, while caches are cold. */
const WARM = 2;

/**
 * Plays requests of some tokens through caches that keep an answer for `ttl`, and scales the counts up.
 * Each token is a Poisson process of its own, so tokens can be taken one by one. The shared answer expires for all gateways
 * `ttl` after it was introspected, because a gateway that takes it from the store takes its end as well.
 *
 * @param seed the same seed gives the same answer
 */
export function simulate({ replicas, tokens, rate, ttl }: Fleet, seed = 7662): Demand {
  const random = new Random(seed);
  const each = rate / tokens;
  const perLife = each * ttl;
  // A token that is seldom used needs a longer look to be seen at all.
  const span = LIVES * Math.max(ttl, 1 / each);
  const from = (WARM / LIVES) * span;
  const sample = Math.min(tokens, Math.max(MIN_TOKENS, Math.floor(EVENTS / (LIVES * Math.max(1, perLife)))));
  let alone = 0;
  let shared = 0;
  let lookups = 0;
  let held = 0;
  let refused = 0;
  let asked = 0;
  for (let token = 0; token < sample; token++) {
    /** When the answer of each replica ends: without the store, and with it. */
    const own = new Map<number, number>();
    const near = new Map<number, number>();
    let stored = 0;
    for (let now = wait(random, each); now < span; now += wait(random, each)) {
      const replica = random.below(replicas);
      const counts = now >= from;
      if (counts) {
        asked++;
        // An outage that begins now finds this much of the answer's life left, or none.
        refused += 1 - Math.max(0, stored - now) / ttl;
      }
      if ((own.get(replica) ?? 0) <= now) {
        own.set(replica, now + ttl);
        if (counts) alone++;
      }
      if ((near.get(replica) ?? 0) <= now) {
        if (counts) lookups++;
        if (stored <= now) {
          stored = now + ttl;
          if (counts) {
            shared++;
            held += ttl;
          }
        }
        near.set(replica, stored);
      }
    }
  }
  const scale = tokens / sample / (span - from);
  return {
    alone: alone * scale,
    shared: shared * scale,
    lookups: lookups * scale,
    writes: shared * scale,
    stored: held * scale,
    fanOut: replicas,
    storeOut: alone * scale,
    refused: asked === 0 ? 1 : refused / asked,
  };
}

/** Seconds until the next request of a Poisson process. */
function wait(random: Random, rate: number): number {
  return -Math.log(1 - random.next()) / rate;
}
