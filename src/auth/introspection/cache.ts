import { LRUCache } from 'lru-cache';
import type { Clock } from '../../model/clock.js';
import type { ActiveAnswer, Answer } from '../../model/introspection.js';
import { entrySize } from './entry-size.js';

/** Limits of the answer cache; times in milliseconds. */
export interface CacheLimits {
  readonly ttl: number;
  readonly negativeTtl: number;
  readonly maxEntries: number;
  readonly negativeMaxEntries: number;
  /** What active answers may take together, in bytes; absent or 0: no limit. */
  readonly maxBytes?: number;
  /** How long before its life ends an active answer that is in use is worth asking for again; absent or 0: never. */
  readonly refreshBefore?: number;
}

/** An answer that is kept. All times in monotonic milliseconds. */
export interface Entry {
  readonly answer: Answer;
  readonly until: number;
  /** The token's `exp`, where it has one. */
  readonly expires: number | undefined;
  /** The next use from then on is one to call {@link AnswerCache.isDue} for. Infinity: none is. */
  refreshAt: number;
}

/** `refreshAt` of an entry that nobody has used: its first use says that it is worth something. */
const UNUSED = Number.NEGATIVE_INFINITY;

/**
 * The authorization server's raw answers, never a decision: what a rule requires is checked against the entry on
 * every request (CVE-2021-32701).
 *
 * An entry lives min(ttl, exp − now) and a hit does not extend it. Inactive answers live in a partition of their
 * own, so that a flood of random tokens cannot push good ones out. Lifetimes run on the monotonic clock: a wall
 * clock that steps back revives nothing.
 */
export class AnswerCache {
  readonly #active: LRUCache<string, Entry>;
  readonly #inactive: LRUCache<string, Entry>;
  readonly #limits: CacheLimits;
  readonly #clock: Clock;
  #evictions = 0;

  constructor(limits: CacheLimits, clock: Clock) {
    const dispose = (_entry: Entry, _key: string, reason: LRUCache.DisposeReason): void => {
      if (reason === 'evict') this.#evictions++;
    };
    // Limits of size, not of number: for a number of entries it would take their places at the start, all at once.
    this.#active = new LRUCache({ maxSize: limits.maxBytes || Number.MAX_SAFE_INTEGER, dispose });
    this.#inactive = new LRUCache({ maxSize: limits.negativeMaxEntries, dispose });
    this.#limits = limits;
    this.#clock = clock;
  }

  /**
   * An active answer whose life has ended, and that of its token has not.
   *
   * @param within milliseconds since it ended
   */
  stale(key: string, within: number): ActiveAnswer | undefined {
    const entry = this.#active.peek(key);
    if (entry === undefined || !entry.answer.active) return undefined;
    const { answer, until, expires } = entry;
    // By both clocks: the wall clock may have been set back since.
    if (expires === undefined || (answer.expiresAt as number) <= this.#clock.wall()) return undefined;
    return this.#clock.monotonic() < Math.min(until + within, expires) ? answer : undefined;
  }

  /**
   * The answer under a key, if one is there and has not ended, with its times, for who may {@link isDue | refresh} it.
   *
   * @param now monotonic milliseconds
   */
  find(key: string, now: number): Entry | undefined {
    // What has ended stays: it may have to serve while the server is down, and its place is its successor's.
    const active = this.#active.get(key);
    if (active !== undefined && now < active.until) return active;
    const inactive = this.#inactive.get(key);
    return inactive !== undefined && now < inactive.until ? inactive : undefined;
  }

  /** How long before its end an entry is worth asking for again, in milliseconds; 0: never. */
  get refreshBefore(): number {
    return this.#limits.refreshBefore ?? 0;
  }

  /**
   * Whether a used entry, `refreshAt` of which has come, is to be asked for again: a second use, shortly before the
   * end. The caller puts `refreshAt` off, whatever it does.
   */
  isDue(entry: Entry): boolean {
    if (entry.refreshAt !== UNUSED) return true;
    entry.refreshAt = entry.until - this.refreshBefore;
    return false;
  }

  /**
   * Keeps an answer as long as it may live; one that has no life left is not kept.
   *
   * @param longest milliseconds it may live at most, where it is no new one
   * @returns the milliseconds it lives
   */
  set(key: string, answer: Answer, longest = Number.POSITIVE_INFINITY): number {
    const now = this.#clock.monotonic();
    const { ttl, negativeTtl } = this.#limits;
    let life = Math.min(longest, answer.active ? ttl : negativeTtl);
    let refreshAt = answer.active && this.refreshBefore > 0 ? UNUSED : Number.POSITIVE_INFINITY;
    let expires: number | undefined;
    if (answer.active && answer.expiresAt !== undefined) {
      const left = (answer.expiresAt - this.#clock.wall()) * 1000;
      expires = now + left;
      if (left <= life) {
        life = left;
        // The token itself ends there: the server has nothing to add.
        refreshAt = Number.POSITIVE_INFINITY;
      }
    }
    this.#active.delete(key);
    this.#inactive.delete(key);
    if (life > 0) {
      const entry: Entry = { answer, until: now + life, expires, refreshAt };
      if (!answer.active) this.#inactive.set(key, entry, { size: 1 });
      else {
        this.#active.set(key, entry, { size: entrySize(answer.claims) });
        if (this.#active.size > this.#limits.maxEntries) this.#active.pop();
      }
    }
    return Math.max(0, life);
  }

  /** Forgets the answer under one key. @returns whether there was one */
  delete(key: string): boolean {
    const active = this.#active.delete(key);
    return this.#inactive.delete(key) || active;
  }

  /** Forgets every active answer that has a value under a claim. @returns how many */
  deleteWhere(claim: string, value: string): number {
    const found: string[] = [];
    for (const [key, { answer }] of this.#active) {
      if (answer.active && answer.claims[claim] === value) found.push(key);
    }
    for (const key of found) this.#active.delete(key);
    return found.length;
  }

  /** Entries that others pushed out before they ended, since the start. */
  get evictions(): number {
    return this.#evictions;
  }

  /** What active answers take together, about, in bytes. */
  get bytes(): number {
    return this.#active.calculatedSize;
  }

  /** Forgets everything. */
  clear(): void {
    this.#active.clear();
    this.#inactive.clear();
  }

  /** Entries held, ended ones that nobody asked for again included. */
  get size(): { readonly active: number; readonly inactive: number } {
    return { active: this.#active.size, inactive: this.#inactive.size };
  }
}
