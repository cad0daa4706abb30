import { LRUCache } from 'lru-cache';
import type { Clock } from '../../model/clock.js';
import type { ActiveAnswer, Answer } from '../../model/introspection.js';
import { entrySize } from './entry-size.js';
import { isAbout, type TokenIdentity } from './token-identity.js';

/** Limits of the answer cache; times in milliseconds. */
export interface CacheLimits {
  readonly ttl: number;
  readonly negativeTtl: number;
  readonly maxEntries: number;
  readonly negativeMaxEntries: number;
  /** The most memory that active answers may take together, in bytes. If absent or 0, there is no limit. */
  readonly maxBytes?: number;
  /** How long before it expires an active answer in use is refreshed. If absent or 0, never. */
  readonly refreshBefore?: number;
}

/** A cache entry. All times are monotonic milliseconds. */
export interface Entry {
  readonly answer: Answer;
  readonly until: number;
  /** When the token expires, if its answer has an `exp`. */
  readonly expires: number | undefined;
  /** From this time on, a use of the entry calls {@link AnswerCache.isDue}. Infinity: never. */
  refreshAt: number;
}

/** `refreshAt` of an entry that was not used yet. Only entries that are used again are worth a refresh. */
const UNUSED = Number.NEGATIVE_INFINITY;

/**
 * The cache of the authorization server's raw answers. It never holds decisions: each request checks the
 * entry against the rule's requirements (CVE-2021-32701).
 *
 * An entry expires after min(ttl, exp − now), an inactive one after negativeTtl; a hit does not extend it. Inactive answers have a partition of
 * their own, so that many random tokens cannot evict active ones. Lifetimes use the monotonic clock, so that
 * a wall clock that is set back does not revive an expired entry.
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
    // Use `maxSize`, not `max`: for `max`, the library allocates room for all entries at the start.
    this.#active = new LRUCache({ maxSize: limits.maxBytes || Number.MAX_SAFE_INTEGER, dispose });
    this.#inactive = new LRUCache({ maxSize: limits.negativeMaxEntries, dispose });
    this.#limits = limits;
    this.#clock = clock;
  }

  /**
   * Gets an active answer that has expired in the cache, although its token has not.
   *
   * @param within milliseconds for which it may be used after it expired
   * @returns undefined if there is no such answer
   */
  stale(key: string, within: number): ActiveAnswer | undefined {
    const entry = this.#active.peek(key);
    if (entry === undefined || !entry.answer.active) return undefined;
    const { answer, until, expires } = entry;
    // Check both clocks, because the wall clock may have been set back since.
    if (expires === undefined || (answer.expiresAt as number) <= this.#clock.wall()) return undefined;
    return this.#clock.monotonic() < Math.min(until + within, expires) ? answer : undefined;
  }

  /**
   * Gets the last answer under a key if it was active and its token has not expired, even if the entry has. It
   * does not count as a use.
   */
  peekActive(key: string): ActiveAnswer | undefined {
    const answer = this.#active.peek(key)?.answer;
    if (answer?.active !== true) return undefined;
    const { expiresAt } = answer;
    return expiresAt === undefined || this.#clock.wall() < expiresAt ? answer : undefined;
  }

  /**
   * Finds the entry under a key, if it has not expired. The caller may {@link isDue | refresh} it.
   *
   * @param now monotonic milliseconds
   */
  find(key: string, now: number): Entry | undefined {
    // Expired entries stay in the cache: they may be needed while the server is down (see {@link stale}), and
    // a new answer takes their place.
    const active = this.#active.get(key);
    if (active !== undefined && now < active.until) return active;
    const inactive = this.#inactive.get(key);
    return inactive !== undefined && now < inactive.until ? inactive : undefined;
  }

  /** How long before it expires an entry is refreshed, in milliseconds; 0: never. */
  get refreshBefore(): number {
    return this.#limits.refreshBefore ?? 0;
  }

  /**
   * Whether an entry whose `refreshAt` has come must be refreshed: at its second use, shortly before it
   * expires. In any case, the caller sets `refreshAt` to a later time.
   */
  isDue(entry: Entry): boolean {
    if (entry.refreshAt !== UNUSED) return true;
    entry.refreshAt = entry.until - this.refreshBefore;
    return false;
  }

  /**
   * Caches an answer until it expires. An answer that has already expired is not cached.
   *
   * @param longest the longest lifetime in milliseconds: of a rule's own, or what is left of an answer of another gateway
   * @returns the lifetime in milliseconds
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
        // The token itself expires at that time, so a refresh would bring nothing.
        refreshAt = Number.POSITIVE_INFINITY;
      }
    }
    this.#active.delete(key);
    this.#inactive.delete(key);
    if (life > 0) {
      const entry: Entry = { answer, until: now + life, expires, refreshAt };
      if (!answer.active) this.#inactive.set(key, entry, { size: 1 });
      else {
        this.#active.set(key, entry, { size: entrySize(answer) });
        if (this.#active.size > this.#limits.maxEntries) this.#active.pop();
      }
    }
    return Math.max(0, life);
  }

  /**
   * Removes the entry under one key.
   *
   * @returns whether there was one
   */
  delete(key: string): boolean {
    const active = this.#active.delete(key);
    return this.#inactive.delete(key) || active;
  }

  /**
   * Removes every active entry whose claim has this value.
   *
   * @returns the number of removed entries
   */
  deleteWhere(claim: string, value: string): number {
    return this.#deleteActive(({ claims }) => claims[claim] === value);
  }

  /**
   * Removes every active entry about one token, under any key.
   *
   * @returns the number of removed entries
   */
  deleteAbout(identity: TokenIdentity): number {
    return this.#deleteActive((answer) => isAbout(answer, identity));
  }

  #deleteActive(matches: (answer: ActiveAnswer) => boolean): number {
    const found: string[] = [];
    for (const [key, { answer }] of this.#active) {
      if (answer.active && matches(answer)) found.push(key);
    }
    for (const key of found) this.#active.delete(key);
    return found.length;
  }

  /** Entries that were evicted before they expired, since the start. */
  get evictions(): number {
    return this.#evictions;
  }

  /** About how much memory the active answers take, in bytes. */
  get bytes(): number {
    return this.#active.calculatedSize;
  }

  /** Removes the inactive entries. */
  clearInactive(): void {
    this.#inactive.clear();
  }

  /** Removes all entries. */
  clear(): void {
    this.#active.clear();
    this.#inactive.clear();
  }

  /** The number of entries, including expired ones that were not replaced yet. */
  get size(): { readonly active: number; readonly inactive: number } {
    return { active: this.#active.size, inactive: this.#inactive.size };
  }
}
