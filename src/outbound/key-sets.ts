import { createLocalJWKSet, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import type { Clock } from '../model/clock.js';
import type { Unavailable } from '../model/outbound.js';

/** The keys of one JWKS document, as a lookup function for jose. */
export interface Keys {
  readonly ok: true;
  readonly find: JWTVerifyGetKey;
}

/** Reads the text of a JWKS document. A failure is a value. */
export type ReadKeys = (url: string) => Promise<{ readonly ok: true; readonly body: string } | Unavailable>;

/** Milliseconds for which a key set is used before it is read again. */
const FRESH = 300_000;
/**
 * Milliseconds for which a key set is still used if it cannot be read again. So an outage is survived, but a
 * revoked key is not used for ever.
 */
const STALE = 3_600_000;
/**
 * Milliseconds between two reads because of an unknown key. So tokens with invented key ids cannot cause more
 * reads.
 */
const COOLDOWN = 10_000;
/** Milliseconds from a failure to the next attempt. */
const PAUSE = 2_000;

interface Entry {
  keys?: Keys;
  /** Monotonic milliseconds. */
  readAt: number;
  failure?: { readonly answer: Unavailable; readonly until: number };
  flight?: Promise<Keys | Unavailable>;
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

  #entry(url: string): Entry {
    let entry = this.#entries.get(url);
    if (entry === undefined) {
      entry = { readAt: Number.NEGATIVE_INFINITY };
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
    const answer = await this.#read(url);
    const keys = answer.ok ? parseKeys(answer.body) : answer;
    if (keys.ok) {
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
  if (keys.length === 0) return unusable('the key set holds no public key');
  try {
    return { ok: true, find: createLocalJWKSet({ keys } as JSONWebKeySet) };
  } catch {
    return unusable('the key set is malformed');
  }
}

function unusable(cause: string): Unavailable {
  return { ok: false, cause, retryAfter: 2 };
}
