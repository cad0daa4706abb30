import { createHash } from 'node:crypto';
import type { ActiveAnswer } from '../../model/introspection.js';
import { identityText, identityTextOf, type TokenIdentity } from './token-identity.js';

/** Which answers to invalidate. */
export type Invalidation =
  | 'all'
  | {
      readonly token: string;
      /** Finds answers about the token that are cached under other spellings of it. */
      readonly identities?: readonly TokenIdentity[];
    }
  /** The answers about all tokens of a subject, a client or a session. */
  | { readonly claim: 'sub' | 'client_id' | 'sid'; readonly value: string };

/** An invalidation with its time, in milliseconds since 1970. */
export interface Purge {
  readonly which: Invalidation;
  readonly at: number;
}

/** The most characters of a name that is remembered as it is. */
const MAX_NAME = 128;
/** How much the clocks of gateways may differ, in milliseconds. */
export const SKEW = 2_000;
/** The most purges that are remembered one by one. If an older one is dropped, it counts for every answer. */
const MOST = 100_000;
/** The claims that a purge can name. */
const CLAIMS = ['sub', 'client_id', 'sid'] as const;

/**
 * Remembers recent purges, so that scopegate does not use an older answer that another gateway has stored
 * meanwhile, or that a replica of the store still has.
 */
export class PurgeLog {
  readonly #life: number;
  readonly #most: number;
  /** The time of each purge by what it purges, the oldest first. */
  readonly #marks = new Map<string, number>();
  /** Answers up to this time are all purged. */
  #all = Number.NEGATIVE_INFINITY;
  /** When a token was last purged in all its spellings. */
  #identities = Number.NEGATIVE_INFINITY;

  /**
   * @param life milliseconds after which no older answer can exist
   * @param most the most purges that are remembered one by one
   */
  constructor(life: number, most = MOST) {
    this.#life = life + SKEW;
    this.#most = most;
  }

  /** The number of purges that are remembered one by one. */
  get size(): number {
    return this.#marks.size;
  }

  /**
   * Remembers a purge.
   *
   * @param keys the cache keys of the token, if it is about one token
   * @param now milliseconds since 1970
   */
  add({ which, at }: Purge, keys: readonly string[], now: number): void {
    if (which === 'all') this.before(at);
    else if ('claim' in which) this.#mark(`${which.claim} ${which.value}`, at);
    else {
      for (const key of keys) this.#mark(key, at);
      for (const identity of which.identities ?? []) {
        this.#mark(`token ${identityText(identity)}`, at);
        this.#identities = at;
      }
    }
    for (const [name, then] of this.#marks) {
      const full = this.#marks.size > this.#most;
      if (!full && then + this.#life >= now) return;
      this.#marks.delete(name);
      if (full) this.before(then);
    }
  }

  /**
   * Purges every answer up to this time.
   *
   * @param at milliseconds since 1970
   */
  before(at: number): void {
    this.#all = Math.max(this.#all, at);
  }

  /**
   * Whether a purge covers an answer, so that it must not be used.
   *
   * @param key the cache key of its endpoint and token
   * @param asked when the authorization server was asked, in milliseconds since 1970
   */
  covers(key: string, claims: ActiveAnswer['claims'], asked: number): boolean {
    const from = asked - SKEW;
    if (from <= this.#all || this.#since(key, from)) return true;
    if (from <= this.#identities && this.#since(`token ${identityTextOf(claims)}`, from)) return true;
    return CLAIMS.some((claim) => {
      const value = claims[claim];
      return typeof value === 'string' && this.#since(`${claim} ${value}`, from);
    });
  }

  #since(name: string, from: number): boolean {
    const at = this.#marks.get(short(name));
    return at !== undefined && from <= at;
  }

  #mark(name: string, at: number): void {
    const key = short(name);
    const before = this.#marks.get(key) ?? at;
    this.#marks.delete(key);
    this.#marks.set(key, Math.max(at, before));
  }
}

/** Replaces a long name by its digest, so that the limit of remembered purges is a limit of memory as well. */
function short(name: string): string {
  return name.length > MAX_NAME ? createHash('sha256').update(name).digest('base64') : name;
}
