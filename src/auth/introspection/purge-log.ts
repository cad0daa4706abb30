import type { ActiveAnswer } from './answer.js';
import type { Invalidation } from './invalidation.js';

/** What was purged, and when: milliseconds since 1970. */
export interface Purge {
  readonly which: Invalidation;
  readonly at: number;
}

/** How far the clocks of gateways may be apart, in milliseconds. */
export const SKEW = 2_000;
/** Purges remembered. Older ones count for every answer. */
const MOST = 100_000;
/** The claims by which can be purged. */
const CLAIMS = ['sub', 'client_id', 'sid'] as const;

/**
 * Remembers what was purged lately, so that an answer of before that is not taken from where another gateway has put it
 * meanwhile, or a replica of the store has kept it.
 */
export class PurgeLog {
  readonly #life: number;
  readonly #most: number;
  /** When by what: the oldest first. */
  readonly #marks = new Map<string, number>();
  /** Up to then everything is purged. */
  #all = Number.NEGATIVE_INFINITY;

  /** @param life milliseconds after which no answer of before is left */
  constructor(life: number, most = MOST) {
    this.#life = life + SKEW;
    this.#most = most;
  }

  /** Purges remembered one by one. */
  get size(): number {
    return this.#marks.size;
  }

  /**
   * Remembers one.
   *
   * @param keys of the token, where it is one
   * @param now milliseconds since 1970
   */
  add({ which, at }: Purge, keys: readonly string[], now: number): void {
    if (which === 'all') this.before(at);
    else if ('claim' in which) this.#mark(`${which.claim} ${which.value}`, at);
    else for (const key of keys) this.#mark(key, at);
    for (const [name, then] of this.#marks) {
      const full = this.#marks.size > this.#most;
      if (!full && then + this.#life >= now) return;
      this.#marks.delete(name);
      if (full) this.before(then);
    }
  }

  /** Everything of before that time is purged. */
  before(at: number): void {
    this.#all = Math.max(this.#all, at);
  }

  /**
   * Whether an answer is no longer good.
   *
   * @param key of its endpoint and token
   * @param asked when the authorization server was asked for it, in milliseconds since 1970
   */
  covers(key: string, claims: ActiveAnswer['claims'], asked: number): boolean {
    const from = asked - SKEW;
    if (from <= this.#all || this.#since(key, from)) return true;
    return CLAIMS.some((claim) => {
      const value = claims[claim];
      return typeof value === 'string' && this.#since(`${claim} ${value}`, from);
    });
  }

  #since(name: string, from: number): boolean {
    const at = this.#marks.get(name);
    return at !== undefined && from <= at;
  }

  #mark(name: string, at: number): void {
    const before = this.#marks.get(name) ?? at;
    this.#marks.delete(name);
    this.#marks.set(name, Math.max(at, before));
  }
}
