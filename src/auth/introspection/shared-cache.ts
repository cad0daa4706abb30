import { setTimeout as pause } from 'node:timers/promises';
import type { Clock } from '../../model/clock.js';
import type { ActiveAnswer } from '../../model/introspection.js';
import { within } from '../../model/within.js';
import { storeCauseOf } from '../../outbound/redis/connection.js';
import type { Store } from '../../outbound/redis/store.js';
import { readClaims } from './answer.js';
import { CircuitBreaker, type Permit } from './circuit-breaker.js';
import { type Invalidation, type Purge, PurgeLog, SKEW } from './invalidation.js';
import type { Seal } from './seal.js';

/** Limits of the second tier; times in milliseconds. */
export interface SharedLimits {
  /** The longest that one request waits for the store. */
  readonly timeout: number;
  /** What names in the store begin with. */
  readonly prefix: string;
  /** The longest that an answer is used after the authorization server was asked for it. */
  readonly ttl: number;
}

/** Where revocations are told. */
export function channelOf(prefix: string): string {
  return `${prefix}:revoked`;
}

/** What was found in the second tier. */
export interface Found {
  readonly answer: ActiveAnswer;
  /** Milliseconds it has left. */
  readonly life: number;
}

/** Failures in a row after which the store is left alone, and for how long, in milliseconds. */
const BREAKER = { failures: 3, openFor: 5_000 };
/** The least time that purges are kept in the store, for gateways that begin later, and the most of them. */
const LOG = { life: 3_600_000, most: 10_000 };
/** Milliseconds until the list of purges is asked for again, where it could not be read. */
const AGAIN = 200;
/** A revocation is waited for longer than an answer: nobody's request depends on it. */
const REVOKE = 5_000;

/**
 * The second tier of the cache: active answers that other gateways have had. It can only save an introspection: when
 * the store is slow, down, or holds nonsense, the authorization server is asked as if it were not there.
 *
 * A name is the first tier's key, a SHA-256; a value is encrypted for its name under a key derived from the gateways' own
 * and the token, so that who can write to the store can neither read nor make nor move one, and who has the key as well
 * can still not read one without its token. The end of its life is inside, whatever the store says of expiry.
 */
export class SharedCache {
  readonly #store: Store;
  readonly #seal: Seal;
  readonly #limits: SharedLimits;
  readonly #clock: Clock;
  /** One for each server of the store. */
  readonly #breakers = new Map<string, CircuitBreaker>();
  readonly #onFailure: (cause: string) => void;
  readonly #purged: PurgeLog;
  #listening = false;
  /** Whether all is known that was purged: without, nothing is taken from the store. */
  #informed = false;
  #learning = false;
  /** Grows whenever something may have been missed. */
  #turn = 0;

  /** @param onFailure told of every failure; the cause holds nothing of the store */
  constructor(
    store: Store,
    seal: Seal,
    limits: SharedLimits,
    clock: Clock,
    onFailure: (cause: string) => void = () => {},
  ) {
    this.#store = store;
    this.#seal = seal;
    this.#limits = limits;
    this.#clock = clock;
    this.#onFailure = onFailure;
    this.#purged = new PurgeLog(limits.ttl);
  }

  /**
   * What another gateway was answered; undefined where there is nothing, the store is in trouble, or it is not known what
   * has been purged.
   */
  async get(key: string, token: string): Promise<Found | undefined> {
    if (!this.#informed) {
      if (this.#listening) void this.#learn();
      return undefined;
    }
    const name = this.#name(key);
    const value = await this.#askAt(name, 'get', (signal) => this.#store.get(name, signal));
    if (value === undefined || value === null) return undefined;
    try {
      return this.#read(value, name, key, token);
    } catch {
      this.#onFailure('a value is of another version');
      return undefined;
    }
  }

  /**
   * Tells the others; nobody waits for it.
   *
   * @param life milliseconds
   * @param asked when the authorization server was asked, in milliseconds since 1970
   */
  set(key: string, token: string, { claims }: ActiveAnswer, life: number, asked: number): void {
    if (life < 1) return;
    const name = this.#name(key);
    const text = JSON.stringify({ asked, until: this.#now() + life, claims });
    const value = this.#seal.close(text, name, token);
    void this.#askAt(name, 'set', (signal) => this.#store.set(name, value, Math.floor(life), signal));
  }

  /**
   * Purges are heard from now on; those of before are read.
   *
   * @returns true once that is done, false where nobody listens any more
   */
  async listening(): Promise<boolean> {
    this.#listening = true;
    const turn = this.#turn;
    for (;;) {
      await this.#learn();
      if (turn !== this.#turn) return false;
      if (this.#informed) return true;
      await pause(AGAIN, undefined, { ref: false });
    }
  }

  /** Purges are not heard any more: until they are again, nothing is taken from the store. */
  deaf(): void {
    this.#turn++;
    this.#listening = false;
    this.#informed = false;
  }

  /**
   * Marks something as used for all gateways, so that only one of them is the first.
   *
   * @param digest what stands for it
   * @param life milliseconds it stays marked
   * @returns whether it was not yet; undefined where the store cannot say
   */
  claim(digest: string, life: number): Promise<boolean | undefined> {
    const name = `${this.#limits.prefix}:proof:${digest}`;
    return this.#askAt(name, 'claim', (signal) => this.#store.add(name, life, signal));
  }

  /**
   * Another gateway was told to forget this.
   *
   * @param keys of the token, where it is one
   */
  forget(which: Invalidation, keys: readonly string[]): void {
    // By this clock: what was asked for before the message came may be of before the purge.
    this.#purged.add({ which, at: this.#now() }, keys, this.#now());
    if (keys.length === 0) return;
    const names = keys.map((key) => this.#name(key));
    void this.#ask('delete', () => this.#store.delete(names), REVOKE);
  }

  /**
   * Takes answers about one token, about all with a claim, or about any out of use, and tells every gateway.
   *
   * Whose an answer is stands inside it, so the store cannot find those of a subject or a client. What is purged by a
   * claim is written down instead, with the time: gateways take no answer of before.
   *
   * @param keys of the token, where it is one
   * @returns whether the store has taken it
   */
  async revoke(which: Invalidation, keys: readonly string[]): Promise<boolean> {
    const purge: Purge = { which, at: this.#now() };
    this.#purged.add(purge, keys, purge.at);
    const kept = await this.#keep(purge, keys);
    // Also where the store keeps what it should not: the gateways have answers of their own.
    const channel = channelOf(this.#limits.prefix);
    const message = this.#seal.close(JSON.stringify(purge), channel);
    const told = await this.#done('publish', () => this.#store.publish(channel, message));
    return kept && told;
  }

  /**
   * Reads a message of the channel. The token is in it, encrypted: a gateway's keys depend on more than the token.
   *
   * @returns undefined where it is none of ours
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

  get #log(): string {
    return `${this.#limits.prefix}:purged`;
  }

  #now(): number {
    return this.#clock.wall() * 1000;
  }

  async #keep(purge: Purge, keys: readonly string[]): Promise<boolean> {
    const { which, at } = purge;
    if (which !== 'all' && 'token' in which) {
      const names = keys.map((key) => this.#name(key));
      return names.length === 0 || this.#done('delete', () => this.#store.delete(names));
    }
    const entry = this.#seal.close(JSON.stringify(purge), this.#log);
    const life = Math.max(this.#limits.ttl, LOG.life);
    const logged = await this.#done('log', () => this.#store.append(this.#log, entry, at, life, LOG.most));
    if (logged && which !== 'all') return true;
    return this.#done('delete', () => this.#store.deleteAll(`${this.#limits.prefix}:answer:`));
  }

  /** Reads what was purged while nobody listened here. */
  async #learn(): Promise<void> {
    if (this.#learning) return;
    this.#learning = true;
    const turn = this.#turn;
    const entries = await this.#askAt(
      this.#log,
      'purges',
      (signal) => this.#store.entries(this.#log, signal),
      REVOKE,
    );
    this.#learning = false;
    if (turn !== this.#turn && this.#listening) return this.#learn();
    if (entries === undefined || !this.#listening) return;
    const now = this.#now();
    entries.forEach((entry, i) => {
      // What others wrote, or with a key that is not known here, may be a purge of anything.
      const purge = this.#readPurge(entry, this.#log) ?? { which: 'all', at: now };
      this.#purged.add(purge, [], now);
      // Older ones may have been taken out.
      if (i === 0 && entries.length >= LOG.most) this.#purged.before(purge.at);
    });
    this.#informed = true;
  }

  #readPurge(sealed: string, place: string): Purge | undefined {
    const text = this.#seal.open(sealed, place);
    // Who has the key speaks our language.
    return text === undefined ? undefined : (JSON.parse(text) as Purge);
  }

  #read(value: string, name: string, key: string, token: string): Found | undefined {
    const text = this.#seal.open(value, name, token);
    if (text === undefined) {
      this.#onFailure('a value does not open with our keys');
      return undefined;
    }
    const { asked, until, claims } = JSON.parse(text) as { asked: number; until: number; claims: unknown };
    const answer = readClaims(claims);
    const now = this.#now();
    const life = Math.min(until, asked + this.#limits.ttl) - now;
    // Of a clock that is ahead it cannot be said what was purged since.
    if (!answer.active || life <= 0 || asked > now + SKEW) return undefined;
    return this.#purged.covers(key, answer.claims, asked) ? undefined : { answer, life };
  }

  /** Asks about one name, unless the server that has it is in trouble. */
  async #askAt<T>(
    name: string,
    what: string,
    work: (signal: AbortSignal) => Promise<T>,
    timeout = this.#limits.timeout,
  ): Promise<T | undefined> {
    const place = this.#store.placeOf(name);
    let breaker = this.#breakers.get(place);
    if (breaker === undefined) {
      breaker = new CircuitBreaker(BREAKER, this.#clock);
      this.#breakers.set(place, breaker);
    }
    const admission = breaker.admit();
    if (typeof admission === 'number') return undefined;
    return this.#ask(what, work, timeout, admission);
  }

  async #done(what: string, work: () => Promise<unknown>): Promise<boolean> {
    const done = await this.#ask(what, () => work().then(() => true), REVOKE);
    return done === true;
  }

  async #ask<T>(
    what: string,
    work: (signal: AbortSignal) => Promise<T>,
    timeout: number,
    admission?: Permit,
  ): Promise<T | undefined> {
    // What is late must not be done later either: an answer that was revoked meanwhile would be back.
    const deadline = new AbortController();
    try {
      const result = await within(timeout, work(deadline.signal));
      admission?.succeeded();
      return result;
    } catch (error) {
      deadline.abort();
      admission?.failed();
      this.#onFailure(`${what}: ${storeCauseOf(error)}`);
      return undefined;
    }
  }
}
