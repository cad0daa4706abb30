import type { Clock } from '../../model/clock.js';

/** When a circuit breaker opens, and for how long. */
export interface CircuitBreakerLimits {
  /** Consecutive failures that open it; 0 turns it off. */
  readonly failures: number;
  /** Milliseconds that it stays open before it lets one call through as a probe. */
  readonly openFor: number;
}

/** A change of state of a circuit breaker, for the log. A probe that fails is none: the breaker stays open. */
export type CircuitBreakerChange =
  | { readonly state: 'open' /** Milliseconds until the first probe. */; readonly openFor: number }
  | { readonly state: 'closed' /** Milliseconds that it was open. */; readonly lasted: number };

/** The permit for one call. Exactly one of its methods must be called when the call ends. */
export interface Permit {
  /** The server answered. */
  succeeded(): void;
  /**
   * The call failed.
   *
   * @param retryAfter milliseconds that the server asked to wait (`Retry-After`); more than 0 opens the
   *   breaker at once
   */
  failed(retryAfter?: number): void;
  /** The call was not sent, so it says nothing about the server. */
  released(): void;
}

/**
 * A circuit breaker. After several failures in a row it refuses calls for a while. Then it lets one probe at
 * a time through: if the probe succeeds, the breaker closes; if it fails, the breaker opens again. Results of
 * calls that began before the last change of state are ignored.
 */
export class CircuitBreaker {
  readonly #limits: CircuitBreakerLimits;
  readonly #clock: Clock;
  readonly #onChange: (change: CircuitBreakerChange) => void;
  /** When it opened, in monotonic milliseconds. */
  #opened = 0;
  #failures = 0;
  /** Monotonic milliseconds; undefined while closed. */
  #openUntil: number | undefined;
  #probing = false;
  /** Grows with every change of state. */
  #age = 0;

  /** @param onChange called when it opens and when it closes */
  constructor(
    limits: CircuitBreakerLimits,
    clock: Clock,
    onChange: (change: CircuitBreakerChange) => void = () => {},
  ) {
    this.#limits = limits;
    this.#clock = clock;
    this.#onChange = onChange;
  }

  /** For metrics and the log. */
  get state(): 'closed' | 'open' | 'half-open' {
    if (this.#openUntil === undefined) return 'closed';
    return this.#clock.monotonic() < this.#openUntil ? 'open' : 'half-open';
  }

  /** Milliseconds until {@link admit} may give a permit again; 0: now. */
  get wait(): number {
    if (this.#openUntil === undefined) return 0;
    const left = this.#openUntil - this.#clock.monotonic();
    if (left > 0) return left;
    return this.#probing ? this.#limits.openFor : 0;
  }

  /**
   * Asks for a permit.
   *
   * @returns the permit, or the milliseconds until it is worth asking again
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
    this.#onChange({ state: 'closed', lasted: this.#clock.monotonic() - this.#opened });
  }

  #fail(retryAfter: number): void {
    if (this.#limits.failures === 0) return;
    this.#failures++;
    if (this.#failures < this.#limits.failures && this.#openUntil === undefined && retryAfter === 0) return;
    const now = this.#clock.monotonic();
    const openFor = Math.max(this.#limits.openFor, retryAfter);
    const wasClosed = this.#openUntil === undefined;
    this.#openUntil = now + openFor;
    this.#probing = false;
    this.#age++;
    if (!wasClosed) return;
    this.#opened = now;
    this.#onChange({ state: 'open', openFor });
  }
}
