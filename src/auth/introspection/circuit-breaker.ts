import type { Clock } from '../../model/clock.js';

/** When a breaker opens and for how long. */
export interface CircuitBreakerLimits {
  /** Consecutive failures that open it; 0 turns it off. */
  readonly failures: number;
  /** Milliseconds it stays open before one call may probe. */
  readonly openFor: number;
}

/** One call that a breaker let through; exactly one of these must be called when it is over. */
export interface Permit {
  /** The server is there: it answered. */
  succeeded(): void;
  /**
   * It is in trouble.
   *
   * @param retryAfter milliseconds the server itself asked for (`Retry-After`); opens the breaker at once
   */
  failed(retryAfter?: number): void;
  /** The call was never made, and says nothing of the server. */
  released(): void;
}

/**
 * A circuit breaker: after a row of failures, calls are refused at once for a while, then one probe at a time is let
 * through; its success closes the breaker, its failure opens it again. What a call from before the last change of
 * state brings home counts no more.
 */
export class CircuitBreaker {
  readonly #limits: CircuitBreakerLimits;
  readonly #clock: Clock;
  #failures = 0;
  /** Monotonic milliseconds; undefined while closed. */
  #openUntil: number | undefined;
  #probing = false;
  /** Grows with every change of state. */
  #age = 0;

  constructor(limits: CircuitBreakerLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /** For metrics and the log. */
  get state(): 'closed' | 'open' | 'half-open' {
    if (this.#openUntil === undefined) return 'closed';
    return this.#clock.monotonic() < this.#openUntil ? 'open' : 'half-open';
  }

  /** Milliseconds until it is worth asking for a call; 0: now. */
  get wait(): number {
    if (this.#openUntil === undefined) return 0;
    const left = this.#openUntil - this.#clock.monotonic();
    if (left > 0) return left;
    return this.#probing ? this.#limits.openFor : 0;
  }

  /**
   * Asks for one call.
   *
   * @returns the admission, or the milliseconds until it is worth asking again
   */
  admit(): Permit | number {
    const { wait } = this;
    if (wait > 0) return wait;
    if (this.#openUntil !== undefined) {
      this.#probing = true;
      this.#age++;
    }
    const age = this.#age;
    return {
      succeeded: () => {
        if (age === this.#age) this.#close();
      },
      failed: (retryAfter = 0) => {
        if (age === this.#age) this.#fail(retryAfter);
      },
      released: () => {
        if (age === this.#age) this.#probing = false;
      },
    };
  }

  #close(): void {
    this.#failures = 0;
    if (this.#openUntil === undefined) return;
    this.#openUntil = undefined;
    this.#probing = false;
    this.#age++;
  }

  #fail(retryAfter: number): void {
    if (this.#limits.failures === 0) return;
    this.#failures++;
    if (this.#failures < this.#limits.failures && this.#openUntil === undefined && retryAfter === 0) return;
    this.#openUntil = this.#clock.monotonic() + Math.max(this.#limits.openFor, retryAfter);
    this.#probing = false;
    this.#age++;
  }
}
