import { monitorEventLoopDelay } from 'node:perf_hooks';

/** The limits of overload protection; 0 turns a limit off. */
export interface OverloadLimits {
  /** Requests in flight at once. */
  readonly maxInFlight: number;
  /** The longest event loop delay, in milliseconds, on average over a {@link WINDOW}. */
  readonly maxEventLoopDelay: number;
}

/** Why overload protection refuses a request. */
export type ShedCause = 'in_flight' | 'event_loop';

/** The window over which the event loop delay is averaged, in milliseconds. */
const WINDOW = 250;
/** The time between two samples of the event loop delay, in milliseconds. */
const RESOLUTION = 10;
/**
 * Late windows in a row before requests are refused. One late window is a pause, such as a garbage
 * collection; several mean overload.
 */
const LATE_WINDOWS = 2;
/** The admitted share is multiplied by this after each further late window. */
const DECREASE = 0.7;
/** The admitted share grows by this with each window that is not late. */
const INCREASE = 0.05;
/**
 * With fewer requests in flight than this, no request is refused for a late event loop: another process uses
 * the CPU then, and refusing requests would not help.
 */
const MIN_IN_FLIGHT = 16;
/** The lowest admitted share. Without any request, scopegate could not notice that the overload is over. */
const MIN_SHARE = 0.05;

/**
 * Overload protection: decides whether one more request is admitted. Requests in flight have a fixed limit.
 * While the event loop is late, the admitted share falls by a factor and recovers in small steps, like a
 * congestion window (RFC 5681 §3.1). Admitted requests are then served in time; if all were admitted, all
 * would be late.
 */
export class OverloadProtection {
  readonly #most: number;
  readonly #latest: number;
  #inFlight = 0;
  #share = 1;
  /** The sum of admitted shares; each time it reaches one, one request is admitted. */
  #credit = 0;
  #late = 0;

  constructor({ maxInFlight, maxEventLoopDelay }: OverloadLimits) {
    this.#most = maxInFlight > 0 ? maxInFlight : Number.POSITIVE_INFINITY;
    this.#latest = maxEventLoopDelay > 0 ? maxEventLoopDelay : Number.POSITIVE_INFINITY;
  }

  /** Requests in flight. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** The share of requests that is admitted now: above 0, at most 1. */
  get share(): number {
    return this.#share;
  }

  /**
   * Admits one more request, if possible.
   *
   * @returns undefined if the request is admitted; {@link leave} must then be called when it ends. Otherwise
   *   why it is refused
   */
  enter(): ShedCause | undefined {
    if (this.#inFlight >= this.#most) return 'in_flight';
    if (this.#share < 1 && this.#inFlight >= MIN_IN_FLIGHT) {
      this.#credit += this.#share;
      if (this.#credit < 1) return 'event_loop';
      this.#credit -= 1;
    }
    this.#inFlight++;
    return undefined;
  }

  /**
   * An admitted request ended, or no longer counts because its body is still arriving or its exchange is
   * long.
   */
  leave(): void {
    this.#inFlight--;
  }

  /**
   * An admitted request counts again.
   *
   * @returns false if the limit of requests in flight is reached
   */
  rejoin(): boolean {
    if (this.#inFlight >= this.#most) return false;
    this.#inFlight++;
    return true;
  }

  /**
   * Records the event loop delay of one window.
   *
   * @param delay milliseconds, on average
   */
  observe(delay: number): void {
    if (delay > this.#latest) {
      if (++this.#late >= LATE_WINDOWS) this.#share = Math.max(MIN_SHARE, this.#share * DECREASE);
      return;
    }
    this.#late = 0;
    this.#share = Math.min(1, this.#share + INCREASE);
  }
}

/**
 * Measures the event loop delay for overload protection.
 *
 * @returns stops the measurement
 */
export function watchLoop(protection: OverloadProtection): () => void {
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION });
  delays.enable();
  const timer = setInterval(() => {
    // The histogram holds the time between two samples. Without a sample, its mean is NaN.
    const delay = delays.mean / 1e6 - RESOLUTION;
    delays.reset();
    if (!Number.isNaN(delay)) protection.observe(delay);
  }, WINDOW);
  timer.unref();
  return () => {
    clearInterval(timer);
    delays.disable();
  };
}
