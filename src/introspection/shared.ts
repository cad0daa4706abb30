import type { Clock } from '../clock.js';
import { causeOf } from '../store/connection.js';
import type { Store } from '../store/store.js';
import { type ActiveAnswer, readClaims } from './answer.js';
import { type Admission, Breaker } from './breaker.js';
import type { Forgotten } from './forgotten.js';
import type { Seal } from './seal.js';

/** Limits of the second tier; times in milliseconds. */
export interface SharedLimits {
  /** The longest that one request waits for the store. */
  readonly timeout: number;
  /** What names in the store begin with. */
  readonly prefix: string;
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
  readonly #breakers = new Map<string, Breaker>();
  readonly #onFailure: (cause: string) => void;

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
  }

  /** What another gateway was answered; undefined where there is nothing, or the store is in trouble. */
  async get(key: string, token: string): Promise<Found | undefined> {
    const name = this.#name(key);
    const value = await this.#askAt(name, 'get', (signal) => this.#store.get(name, signal));
    if (value === undefined || value === null) return undefined;
    try {
      return this.#read(value, name, token);
    } catch {
      this.#onFailure('a value is of another version');
      return undefined;
    }
  }

  /** Tells the others; nobody waits for it. @param life milliseconds */
  set(key: string, token: string, { claims }: ActiveAnswer, life: number): void {
    if (life < 1) return;
    const name = this.#name(key);
    const text = JSON.stringify({ until: this.#clock.wall() * 1000 + life, claims });
    const value = this.#seal.close(text, name, token);
    void this.#askAt(name, 'set', (signal) => this.#store.set(name, value, Math.floor(life), signal));
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

  /** Deletes answers here, as a message of another gateway asks for. */
  delete(keys: readonly string[]): void {
    if (keys.length === 0) return;
    const names = keys.map((key) => this.#name(key));
    void this.#ask('delete', () => this.#store.delete(names), REVOKE);
  }

  /**
   * Deletes the answers about one token, or all, and tells every gateway to forget what is to be forgotten.
   *
   * @param keys of the token, where it is one
   * @returns whether the store has taken it
   */
  async revoke(which: Forgotten, keys: readonly string[]): Promise<boolean> {
    const names = keys.map((key) => this.#name(key));
    const channel = channelOf(this.#limits.prefix);
    const message = this.#seal.close(JSON.stringify(which), channel);
    // Whose an answer is stands inside it: of a subject's or a client's the store cannot tell.
    const every = which === 'all' || 'claim' in which;
    const deleted =
      (!every && names.length === 0) ||
      (await this.#done('delete', () =>
        every ? this.#store.deleteAll(`${this.#limits.prefix}:answer:`) : this.#store.delete(names),
      ));
    // Also where the store keeps what it should not: the gateways have answers of their own.
    const told = await this.#done('publish', () => this.#store.publish(channel, message));
    return deleted && told;
  }

  /**
   * Reads a message of the channel. The token is in it, encrypted: a gateway's keys depend on more than the token.
   *
   * @returns undefined where it is none of ours
   */
  readRevocation(message: string): Forgotten | undefined {
    const text = this.#seal.open(message, channelOf(this.#limits.prefix));
    // Who has the key speaks our language.
    return text === undefined ? undefined : (JSON.parse(text) as Forgotten);
  }

  async close(): Promise<void> {
    await this.#store.close();
  }

  #name(key: string): string {
    return `${this.#limits.prefix}:answer:${key}`;
  }

  #read(value: string, name: string, token: string): Found | undefined {
    const text = this.#seal.open(value, name, token);
    if (text === undefined) {
      this.#onFailure('a value does not open with our keys');
      return undefined;
    }
    const { until, claims } = JSON.parse(text) as { until: number; claims: unknown };
    const answer = readClaims(claims);
    const life = until - this.#clock.wall() * 1000;
    return answer.active && life > 0 ? { answer, life } : undefined;
  }

  /** Asks about one name, unless the server that has it is in trouble. */
  async #askAt<T>(
    name: string,
    what: string,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T | undefined> {
    const place = this.#store.placeOf(name);
    let breaker = this.#breakers.get(place);
    if (breaker === undefined) {
      breaker = new Breaker(BREAKER, this.#clock);
      this.#breakers.set(place, breaker);
    }
    const admission = breaker.admit();
    if (typeof admission === 'number') return undefined;
    return this.#ask(what, work, this.#limits.timeout, admission);
  }

  async #done(what: string, work: () => Promise<unknown>): Promise<boolean> {
    const done = await this.#ask(what, () => work().then(() => true), REVOKE);
    return done === true;
  }

  async #ask<T>(
    what: string,
    work: (signal: AbortSignal) => Promise<T>,
    timeout: number,
    admission?: Admission,
  ): Promise<T | undefined> {
    // What is late must not be done later either: an answer that was revoked meanwhile would be back.
    const deadline = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => {
        deadline.abort();
        reject(new Error('it took too long'));
      }, timeout);
    });
    try {
      const result = await Promise.race([work(deadline.signal), late]);
      admission?.succeeded();
      return result;
    } catch (error) {
      admission?.failed();
      this.#onFailure(`${what}: ${causeOf(error)}`);
      return undefined;
    } finally {
      clearTimeout(timer);
    }
  }
}
