import { createLocalJWKSet, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import type { Clock } from '../model/clock.js';
import type { Unavailable } from '../model/outbound.js';

/** The keys of one JWKS document, as a lookup function for jose. */
export interface Keys {
  readonly ok: true;
  readonly find: JWTVerifyGetKey;
  /** The ids of the keys. */
  readonly ids: ReadonlySet<string>;
  /** Whether a key has no id. If not, the tokens of this issuer name theirs. */
  readonly unnamed: boolean;
}

/** Reads the text of a JWKS document. A failure is a value. */
export type ReadKeys = (url: string) => Promise<{ readonly ok: true; readonly body: string } | Unavailable>;

/** Milliseconds for which a key set is used before it is read again. */
const FRESH = 300_000;
/**
 * Milliseconds for which a key set is still used if it cannot be read again. So tokens can be verified during
 * an outage, but a revoked key is not used for ever.
 */
const STALE = 3_600_000;
/**
 * Milliseconds between two reads because of an unknown key. So tokens with invented key ids cannot cause more
 * reads.
 */
const COOLDOWN = 10_000;
/** The most missing keys that are remembered of one read. */
const MOST_MISSING = 1_000;
/** Milliseconds from a failure to the next attempt. */
const PAUSE = 2_000;

interface Entry {
  keys?: Keys;
  /** Monotonic milliseconds. */
  readAt: number;
  failure?: { readonly answer: Unavailable; readonly until: number };
  flight?: Promise<Keys | Unavailable>;
  /** The number of reads that have begun. */
  reads: number;
  /** Keys that the last read did not find, and those that the set had before it. */
  readonly missing: Set<string>;
}

/**
 * A cache of key sets by URL. A key set is refreshed in the background when it ages. If a token names an
 * unknown key, it is read again at once, but rarely: that is how authorization servers rotate keys.
 */
export class KeySetCache {
  readonly #read: ReadKeys;
  readonly #clock: Clock;
  readonly #onFailure: (url: string, cause: string) => void;
  readonly #entries = new Map<string, Entry>();

  /** @param onFailure called for every failed read, for the log */
  constructor(read: ReadKeys, clock: Clock, onFailure: (url: string, cause: string) => void = () => {}) {
    this.#read = read;
    this.#clock = clock;
    this.#onFailure = onFailure;
  }

  /** Returns the current keys, or reads them. */
  current(url: string): Keys | Promise<Keys | Unavailable> | Unavailable {
    const entry = this.#entry(url);
    if (entry.keys === undefined) return this.#attempt(url, entry);
    const age = this.#clock.monotonic() - entry.readAt;
    if (age < FRESH) return entry.keys;
    const attempt = this.#attempt(url, entry);
    return age < STALE ? entry.keys : attempt;
  }

  /**
   * Reads the keys again, for a token whose key is not among the current ones.
   *
   * @returns undefined if the last read is so recent that another one would bring nothing new
   */
  async again(url: string): Promise<Keys | Unavailable | undefined> {
    const entry = this.#entry(url);
    if (entry.flight === undefined && this.#clock.monotonic() - entry.readAt < COOLDOWN) return undefined;
    return this.#attempt(url, entry);
  }

  /** The number of reads that have begun. A read that begins later finds what was published until now. */
  reads(url: string): number {
    return this.#entry(url).reads;
  }

  /**
   * Remembers, until the next read, that the last one did not find a key.
   *
   * @param name the key's id, or another name for the key
   */
  missed(url: string, name: string): void {
    const { missing } = this.#entry(url);
    if (missing.size < MOST_MISSING) missing.add(name);
  }

  /**
   * Whether a key that does not fit is certainly not a new one: the last read did not find it, the set had it
   * before, or has it for another algorithm; or the token names no key although all keys have ids.
   *
   * @param name the key's id; undefined if the token names none
   * @param other the other name for the key in that case
   */
  isMissing(url: string, name: string | undefined, other: string): boolean {
    const { missing, keys } = this.#entry(url);
    if (name === undefined) return missing.has(other) || keys?.unnamed === false;
    return missing.has(name) || keys?.ids.has(name) === true;
  }

  /** The result for a token whose key may have been published since the last read, which was too recent. */
  tooRecent(url: string): Unavailable {
    const left = this.#entry(url).readAt + COOLDOWN - this.#clock.monotonic();
    const retryAfter = Math.max(1, Math.ceil(left / 1000));
    return {
      ok: false,
      cause: 'the key set was read too recently to be read again for a new key',
      retryAfter,
    };
  }

  #entry(url: string): Entry {
    let entry = this.#entries.get(url);
    if (entry === undefined) {
      entry = { readAt: Number.NEGATIVE_INFINITY, reads: 0, missing: new Set() };
      this.#entries.set(url, entry);
    }
    return entry;
  }

  #attempt(url: string, entry: Entry): Promise<Keys | Unavailable> | Unavailable {
    const { failure } = entry;
    if (failure !== undefined && this.#clock.monotonic() < failure.until) return failure.answer;
    entry.flight ??= this.#fly(url, entry).finally(() => delete entry.flight);
    return entry.flight;
  }

  async #fly(url: string, entry: Entry): Promise<Keys | Unavailable> {
    entry.reads++;
    const answer = await this.#read(url);
    const keys = answer.ok ? parseKeys(answer.body) : answer;
    if (keys.ok) {
      entry.missing.clear();
      for (const id of entry.keys?.ids ?? []) if (!keys.ids.has(id)) entry.missing.add(id);
      entry.keys = keys;
      entry.readAt = this.#clock.monotonic();
      delete entry.failure;
    } else {
      const pause = Math.max(PAUSE, keys.retryAfter * 1000);
      entry.failure = { answer: keys, until: this.#clock.monotonic() + pause };
      this.#onFailure(url, keys.cause);
    }
    return keys;
  }
}

/**
 * Reads a JWK Set (RFC 7517 §5). Symmetric keys are ignored: a published key of that kind could be used to
 * forge tokens.
 */
function parseKeys(body: string): Keys | Unavailable {
  let set: unknown;
  try {
    set = JSON.parse(body);
  } catch {
    return unusable('the key set is not JSON');
  }
  const list = (set as { keys?: unknown } | null)?.keys;
  if (!Array.isArray(list)) return unusable('the key set has no list of keys');
  const keys = list.filter(
    (key: unknown) => typeof key === 'object' && key !== null && (key as { kty?: unknown }).kty !== 'oct',
  );
  if (keys.length === 0) return unusable('the key set does not contain a public key');
  const ids = keys.map(({ kid }: { kid?: unknown }) => kid).filter((kid) => typeof kid === 'string');
  try {
    return {
      ok: true,
      find: createLocalJWKSet({ keys } as JSONWebKeySet),
      ids: new Set(ids),
      unnamed: ids.length < keys.length,
    };
  } catch {
    return unusable('the key set is malformed');
  }
}

function unusable(cause: string): Unavailable {
  return { ok: false, cause, retryAfter: 2 };
}
