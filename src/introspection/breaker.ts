import type { Clock } from '../clock.js';

/** When a breaker opens and for how long. */
export interface BreakerLimits {
  /** Consecutive failures that open it. */
  readonly failures: number;
  /** Milliseconds it stays open before one call may probe. */
  readonly openFor: number;
}

/**
 * A circuit breaker: after a row of failures, calls are refused at once for a while, then one probe at a time is let
 * through; its success closes the breaker, its failure opens it again.
 */
export class Breaker {
  readonly #limits: BreakerLimits;
  readonly #clock: Clock;
  #failures = 0;
  #openUntil = 0;
  #probing = false;

  constructor(limits: BreakerLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /** For metrics and the log. */
  get state(): 'closed' | 'open' | 'half-open' {
    if (this.#failures < this.#limits.failures && this.#openUntil === 0) return 'closed';
    return this.#clock.monotonic() < this.#openUntil ? 'open' : 'half-open';
  }

  /**
   * Asks for one call. Every 0 must be followed by {@link succeeded}, {@link failed} or {@link released}.
   *
   * @returns 0 when the call may be made, else the milliseconds until it is worth asking again
   */
  admit(): number {
    if (this.#openUntil === 0) return 0;
    const wait = this.#openUntil - this.#clock.monotonic();
    if (wait > 0) return wait;
    if (this.#probing) return this.#limits.openFor;
    this.#probing = true;
    return 0;
  }

  /** The call had an answer that could be used. */
  succeeded(): void {
    this.#failures = 0;
    this.#openUntil = 0;
    this.#probing = false;
  }

  /** The call was never made. */
  released(): void {
    this.#probing = false;
  }

  /**
   * The call had none.
   *
   * @param retryAfter milliseconds the server itself asked for (`Retry-After`); opens the breaker at once
   */
  failed(retryAfter = 0): void {
    this.#failures++;
    this.#probing = false;
    if (this.#failures < this.#limits.failures && this.#openUntil === 0 && retryAfter === 0) return;
    this.#openUntil = this.#clock.monotonic() + Math.max(this.#limits.openFor, retryAfter);
  }
}
