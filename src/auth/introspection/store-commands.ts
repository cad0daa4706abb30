import type { Clock } from '../../model/clock.js';
import { within } from '../../model/within.js';
import { storeCauseOf } from '../../outbound/redis/connection.js';
import type { Store } from '../../outbound/redis/store.js';
import { CircuitBreaker, type Permit } from './circuit-breaker.js';

/**
 * The circuit breaker of each store server: failures in a row that open it, and milliseconds that it stays
 * open.
 */
const BREAKER = { failures: 3, openFor: 5_000 };

/**
 * The timeout of purges, in milliseconds. It is longer than that of answers, because no request waits for it.
 */
export const PURGE_TIMEOUT = 5_000;

/** Runs commands at a store that may be slow or down. No method rejects, and each returns within a timeout. */
export class StoreCommands {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #timeout: number;
  readonly #onFailure: (cause: string) => void;
  readonly #onSuccess: () => void;
  /** One circuit breaker for each server of the store. */
  readonly #breakers = new Map<string, CircuitBreaker>();

  /**
   * @param timeout milliseconds for a command that a request waits for
   * @param onFailure called for every failure; the cause holds no data from the store
   * @param onSuccess called for every command that succeeded
   */
  constructor(
    store: Store,
    clock: Clock,
    timeout: number,
    onFailure: (cause: string) => void,
    onSuccess: () => void,
  ) {
    this.#store = store;
    this.#clock = clock;
    this.#timeout = timeout;
    this.#onFailure = onFailure;
    this.#onSuccess = onSuccess;
  }

  /**
   * Runs a command about one name, unless the circuit breaker of the server that keeps it is open.
   *
   * @param what the command, for the log
   * @returns undefined if it fails
   */
  async runAt<T>(
    name: string,
    what: string,
    work: (signal: AbortSignal) => Promise<T>,
    timeout = this.#timeout,
  ): Promise<T | undefined> {
    const place = this.#store.placeOf(name);
    let breaker = this.#breakers.get(place);
    if (breaker === undefined) {
      breaker = new CircuitBreaker(BREAKER, this.#clock);
      this.#breakers.set(place, breaker);
    }
    const permit = breaker.admit();
    if (typeof permit === 'number') return undefined;
    return this.run(what, work, timeout, permit);
  }

  /** Runs a command that no request waits for. @returns whether the store accepted it */
  async succeeds(what: string, work: (signal: AbortSignal) => Promise<unknown>): Promise<boolean> {
    const done = await this.run(what, (signal) => work(signal).then(() => true), PURGE_TIMEOUT);
    return done === true;
  }

  /**
   * Runs a command.
   *
   * @param timeout milliseconds
   * @param permit is told how it ended
   * @returns undefined if it fails
   */
  async run<T>(
    what: string,
    work: (signal: AbortSignal) => Promise<T>,
    timeout: number,
    permit?: Permit,
  ): Promise<T | undefined> {
    // A command that timed out must not be sent later: it could write back an answer that has been
    // invalidated meanwhile.
    const deadline = new AbortController();
    try {
      const result = await within(timeout, work(deadline.signal));
      permit?.succeeded();
      this.#onSuccess();
      return result;
    } catch (error) {
      deadline.abort();
      permit?.failed();
      this.#onFailure(`${what}: ${storeCauseOf(error)}`);
      return undefined;
    }
  }
}
