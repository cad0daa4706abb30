import { setTimeout as pause } from 'node:timers/promises';
import type { Clock } from '../../model/clock.js';
import type { ActiveAnswer } from '../../model/introspection.js';
import { MAX_VALUE } from '../../outbound/redis/bounded-connections.js';
import type { Store } from '../../outbound/redis/store.js';
import { readClaims } from './answer.js';
import type { CacheKey } from './cache-keys.js';
import { type Invalidation, type Purge, PurgeLog, SKEW } from './invalidation.js';
import type { Seal } from './seal.js';
import { PURGE_TIMEOUT, StoreCommands } from './store-commands.js';
import { identityOf, type TokenIdentity } from './token-identity.js';

/** Limits of the shared cache; times in milliseconds. */
export interface SharedLimits {
  /** The longest time that a request waits for the store. */
  readonly timeout: number;
  /** The prefix of all names in the store. */
  readonly prefix: string;
  /** The longest time that an answer is used after the authorization server gave it. */
  readonly ttl: number;
  /** The longest time that a request waits for another gateway that is asking about the same token; 0 for none. */
  readonly wait: number;
}

/**
 * The channel on which gateways publish invalidations.
 *
 * @param prefix the prefix of all names in the store
 */
export function channelOf(prefix: string): string {
  return `${prefix}:revoked`;
}

/** An answer from the shared cache. */
export interface Found {
  readonly answer: ActiveAnswer;
  /** Milliseconds until it expires. */
  readonly life: number;
}

/** A decrypted value; times in milliseconds since 1970. */
interface Stored {
  /** When the authorization server was asked. */
  readonly asked: number;
  readonly until: number;
  readonly answer: ActiveAnswer;
}

/**
 * The list of purges in the store, which gateways read when they start: the shortest time that an entry
 * stays, in milliseconds, and the most entries.
 */
const LOG = { life: 3_600_000, most: 10_000 };
/** The first and the longest pause between two looks for another gateway's answer, in milliseconds. */
const LOOK = { first: 1, longest: 16 };
/** Milliseconds until scopegate reads the list of purges again after a failure. */
const RETRY_AFTER = 200;

/**
 * The cache that gateways share: active answers that other gateways got. It can only save introspection
 * calls: if the store is slow, down or returns invalid data, scopegate asks the authorization server.
 *
 * A name contains the key of the local cache, a SHA-256. A value is encrypted for its name, with a key that
 * is derived from the gateways' key and the token. So somebody who can write to the store cannot read a
 * value, forge one, or move it to another name. Somebody who also has the gateways' key still cannot read a
 * value without its token. The expiry is part of the encrypted value, so scopegate does not rely on the
 * store's expiry.
 */
export class SharedCache {
  readonly #store: Store;
  readonly #seal: Seal;
  readonly #limits: SharedLimits;
  readonly #clock: Clock;
  readonly #commands: StoreCommands;
  readonly #onFailure: (cause: string) => void;
  readonly #purged: PurgeLog;
  #listening = false;
  /** Whether this gateway knows all purges. Until then it takes nothing from the store. */
  #synced = false;
  #reading = false;
  /** Grows whenever messages of the channel may have been missed. */
  #generation = 0;

  /**
   * @param onFailure called for every failure; the cause holds no data from the store
   * @param onSuccess called for every command that succeeded
   */
  constructor(
    store: Store,
    seal: Seal,
    limits: SharedLimits,
    clock: Clock,
    onFailure: (cause: string) => void = () => {},
    onSuccess: () => void = () => {},
  ) {
    this.#store = store;
    this.#seal = seal;
    this.#limits = limits;
    this.#clock = clock;
    this.#onFailure = onFailure;
    this.#commands = new StoreCommands(store, clock, limits.timeout, onFailure, onSuccess);
    this.#purged = new PurgeLog(limits.ttl);
  }

  /**
   * Gets an answer that another gateway stored.
   *
   * @param key the key of the local cache
   * @returns undefined if there is none, if the store fails, or if this gateway does not know all purges
   */
  async get(key: string, token: string): Promise<Found | undefined> {
    if (!this.#synced) {
      if (this.#listening) void this.#readPurges();
      return undefined;
    }
    const name = this.#name(key);
    const stored = await this.#fetch(name, token);
    return stored === undefined ? undefined : this.#usable(stored, key);
  }

  /**
   * Stores an answer for the other gateways. It works in the background.
   *
   * @param life milliseconds until the answer expires
   * @param asked when the authorization server was asked, in milliseconds since 1970
   * @returns false if no other gateway will use it: it is about to expire or too large, or a purge was just before
   */
  set(key: string, token: string, { claims }: ActiveAnswer, life: number, asked: number): boolean {
    if (life < 1) return false;
    const name = this.#name(key);
    const text = JSON.stringify({ asked, until: this.#now() + life, claims });
    const value = this.#seal.close(text, name, token);
    if (value.length > MAX_VALUE) return false;
    void this.#commands.runAt(name, 'set', (signal) =>
      this.#store.set(name, value, Math.floor(life), signal),
    );
    return !this.#purged.covers(key, claims, asked);
  }

  /**
   * Waits for this gateway's turn to introspect a token: one of the gateways that lack an answer introspects,
   * and the others use its answer. If that gateway dies, the others wait for at most {@link
   * SharedLimits.wait}.
   *
   * @param key the key of the local cache
   * @param look looks for an answer that another gateway has stored
   * @param isCurrent whether such an answer may still be used: not after a purge
   * @returns that answer; undefined if it is this gateway's turn: it must call {@link set} or {@link endTurn}
   *   then
   */
  async turn(
    key: string,
    look: () => Promise<Found | undefined>,
    isCurrent: () => boolean,
  ): Promise<Found | undefined> {
    const { wait } = this.#limits;
    if (wait === 0 || !this.#synced) return undefined;
    const name = this.#turnName(key);
    const late = this.#clock.monotonic() + wait;
    for (let ms = LOOK.first; ; ms = Math.min(ms * 2, LOOK.longest)) {
      const taken = await this.#commands.runAt(name, 'turn', (signal) => this.#store.add(name, wait, signal));
      // Without the store no gateway can wait for another.
      if (taken !== false || this.#clock.monotonic() >= late || !isCurrent()) return undefined;
      await pause(ms, undefined, { ref: false });
      const found = await look();
      if (found !== undefined) return found;
    }
  }

  /** Ends a turn without an answer that other gateways could use. It works in the background. */
  endTurn(key: string): void {
    if (this.#limits.wait === 0) return;
    void this.#commands.run('turn', () => this.#store.delete([this.#turnName(key)]), PURGE_TIMEOUT);
  }

  /**
   * Called when this gateway is subscribed to the channel. Reads the purges that happened before.
   *
   * @returns true when they are read; false if the subscription ended meanwhile
   */
  async listening(): Promise<boolean> {
    this.#listening = true;
    const generation = this.#generation;
    for (;;) {
      await this.#readPurges();
      if (generation !== this.#generation) return false;
      if (this.#synced) return true;
      await pause(RETRY_AFTER, undefined, { ref: false });
    }
  }

  /**
   * Called when the subscription ends. Until the next one, nothing is taken from the store, because purges
   * could be missed.
   */
  deaf(): void {
    this.#generation++;
    this.#listening = false;
    this.#synced = false;
  }

  /**
   * Marks something as used, for all gateways: exactly one of them gets true.
   *
   * @param digest identifies it
   * @param life milliseconds for which the mark stays
   * @returns true if it was not marked before, false if it was; undefined if the store fails
   */
  claim(digest: string, life: number): Promise<boolean | undefined> {
    const name = `${this.#limits.prefix}:proof:${digest}`;
    return this.#commands.runAt(name, 'claim', (signal) => this.#store.add(name, life, signal));
  }

  /**
   * Applies an invalidation that another gateway published.
   *
   * @param which what to invalidate
   * @param keys the cache keys of the token, if it is about one token
   */
  forget(which: Invalidation, keys: readonly string[]): void {
    // Use this gateway's clock: an answer that was asked for before the message arrived may be older than the
    // purge.
    this.#purged.add({ which, at: this.#now() }, keys, this.#now());
    if (keys.length === 0) return;
    const names = this.#namesOf(keys);
    void this.#commands.run('delete', () => this.#store.delete(names), PURGE_TIMEOUT);
  }

  /**
   * Invalidates answers about one token, about all tokens with a claim, or about all tokens, at every
   * gateway.
   *
   * The store cannot find the answers about a subject or a client, because the values are encrypted. So a
   * purge by claim is recorded in the store with its time, and every gateway ignores older answers.
   *
   * @param which what to invalidate
   * @param keys the cache keys of the token, if it is about one token
   * @returns whether the store accepted it
   */
  async revoke(which: Invalidation, keys: readonly string[]): Promise<boolean> {
    const purge: Purge = { which, at: this.#now() };
    this.#purged.add(purge, keys, purge.at);
    const kept = await this.#keep(purge, keys);
    // Publish even if the deletion failed, because the gateways also have answers in their local caches.
    const channel = channelOf(this.#limits.prefix);
    // While the key is replaced, some gateways have only one of the two keys.
    const messages = this.#seal.closeWithEach(JSON.stringify(purge), channel);
    const published = await Promise.all(
      messages.map((message) =>
        this.#commands.succeeds('publish', () => this.#store.publish(channel, message)),
      ),
    );
    return kept && published.every((each) => each);
  }

  /**
   * Finds out which token an invalidation is about, from answers in the store.
   *
   * @param keys the keys of answers about it that may exist
   * @returns empty if there are none, or if the store fails
   */
  async identities(keys: readonly CacheKey[]): Promise<TokenIdentity[]> {
    // Also answers that are purged already: they still tell which token it is.
    const stored = await Promise.all(keys.map(({ key, token }) => this.#fetch(this.#name(key), token)));
    return stored
      .map((found) => (found === undefined ? undefined : identityOf(found.answer)))
      .filter((identity) => identity !== undefined);
  }

  /**
   * Reads a message of the channel. It contains the token, encrypted: gateways build different cache keys
   * from it, because a key also depends on the endpoint and the client credentials.
   *
   * @returns undefined if no configured key decrypts it; it may still be a purge, so the caller must forget all
   *   ({@link UnreadableMessages})
   */
  readRevocation(message: string): Invalidation | undefined {
    return this.#readPurge(message, channelOf(this.#limits.prefix))?.which;
  }

  async close(): Promise<void> {
    this.deaf();
    await this.#store.close();
  }

  #name(key: string): string {
    return `${this.#limits.prefix}:answer:${key}`;
  }

  /** Two names for each key: of its answer, and of the turn to ask for it. A purge must end both. */
  #namesOf(keys: readonly string[]): string[] {
    return keys.flatMap((key) => [this.#name(key), this.#turnName(key)]);
  }

  #turnName(key: string): string {
    return `${this.#name(key)}:turn`;
  }

  get #logName(): string {
    return `${this.#limits.prefix}:purged`;
  }

  #now(): number {
    return this.#clock.wall() * 1000;
  }

  async #keep(purge: Purge, keys: readonly string[]): Promise<boolean> {
    const { which } = purge;
    if (which !== 'all' && 'token' in which) {
      const names = this.#namesOf(keys);
      const deleted =
        names.length === 0 || (await this.#commands.succeeds('delete', () => this.#store.delete(names)));
      // The store cannot find the other spellings either.
      if (which.identities === undefined) return deleted;
      return (await this.#log(purge)) && deleted;
    }
    const logged = await this.#log(purge);
    if (logged && which !== 'all') return true;
    // No gateway uses an answer that is not deleted in time, because the list of purges says that it was
    // purged.
    const prefix = `${this.#limits.prefix}:answer:`;
    return this.#commands.succeeds('delete', (signal) => this.#store.deleteAll(prefix, signal));
  }

  /** Writes a purge into the list in the store. */
  #log(purge: Purge): Promise<boolean> {
    const name = this.#logName;
    const entry = this.#seal.close(JSON.stringify(purge), name);
    const life = Math.max(this.#limits.ttl, LOG.life);
    return this.#commands.succeeds('log', () => this.#store.append(name, entry, purge.at, life, LOG.most));
  }

  /** Reads the purges that this gateway may have missed. */
  async #readPurges(): Promise<void> {
    if (this.#reading) return;
    this.#reading = true;
    const generation = this.#generation;
    const read = await this.#commands.runAt(
      this.#logName,
      'purges',
      (signal) => this.#store.entries(this.#logName, LOG.most, signal),
      PURGE_TIMEOUT,
    );
    this.#reading = false;
    if (generation !== this.#generation && this.#listening) return this.#readPurges();
    if (read === undefined || !this.#listening) return;
    const { entries, complete } = read;
    const now = this.#now();
    entries.forEach((entry, i) => {
      // An entry that cannot be decrypted (forged, or with an unknown key) could be any purge, so treat it as
      // a purge of everything.
      const purge = this.#readPurge(entry, this.#logName) ?? { which: 'all', at: now };
      this.#purged.add(purge, [], now);
      // The list is full, or too large to be read, so older purges may be missing.
      if (i === 0 && (!complete || entries.length >= LOG.most)) this.#purged.before(purge.at);
    });
    this.#synced = true;
  }

  #readPurge(sealed: string, place: string): Purge | undefined {
    const text = this.#seal.open(sealed, place);
    // Only a gateway with the key can have written this, so its format needs no check.
    return text === undefined ? undefined : (JSON.parse(text) as Purge);
  }

  /** Gets a value and decrypts it. */
  async #fetch(name: string, token: string): Promise<Stored | undefined> {
    const value = await this.#commands.runAt(name, 'get', (signal) => this.#store.get(name, signal));
    if (value === undefined || value === null) return undefined;
    try {
      const text = this.#seal.open(value, name, token);
      if (text === undefined) {
        this.#onFailure('a stored value cannot be decrypted with the configured keys');
        return undefined;
      }
      const { asked, until, claims } = JSON.parse(text) as { asked: number; until: number; claims: unknown };
      const answer = readClaims(claims);
      return answer.active ? { asked, until, answer } : undefined;
    } catch {
      this.#onFailure('a stored value has another format');
      return undefined;
    }
  }

  #usable({ asked, until, answer }: Stored, key: string): Found | undefined {
    const now = this.#now();
    const life = Math.min(until, asked + this.#limits.ttl) - now;
    // If the other gateway's clock is ahead, scopegate cannot compare its time with those of purges.
    if (life <= 0 || asked > now + SKEW) return undefined;
    return this.#purged.covers(key, answer.claims, asked) ? undefined : { answer, life };
  }
}
