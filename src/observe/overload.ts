import { monitorEventLoopDelay } from 'node:perf_hooks';

/** How much is let in; 0 turns a limit off. */
export interface OverloadLimits {
  /** Requests in flight at once. */
  readonly maxInFlight: number;
  /** How late the event loop may be, in milliseconds, on average over a {@link WINDOW}. */
  readonly maxEventLoopDelay: number;
}

/** Why a request is turned away unread. */
export type ShedCause = 'in_flight' | 'event_loop';

/** How long the event loop is watched before a conclusion is drawn, in milliseconds. */
const WINDOW = 250;
/** How often the event loop is looked at within it, in milliseconds. */
const RESOLUTION = 10;
/** A loop that is late for one window has had a pause: for so many, it has more to do than it can. */
const PATIENCE = 2;
/** What is left of the share that is let in after each further late window. */
const LESS = 0.7;
/** By how much it grows again with each window that is not late. */
const MORE = 0.05;
/**
 * Beside so few requests it is not they that make the loop late, but whoever else has the processor: to turn one away
 * would help nobody.
 */
const FEW = 16;
/** Never less than this: without requests nobody would see that there is room again. */
const LEAST = 0.05;

/**
 * Decides whether one more request is taken on. Requests in flight have a fixed limit. Where the event loop is late,
 * the share that is let in falls by a factor and recovers by small steps, as a congestion window does (RFC 5681 §3.1):
 * what is let in is then served in time, where all together would be late for everybody.
 */
export class OverloadProtection {
  readonly #most: number;
  readonly #latest: number;
  #inFlight = 0;
  #share = 1;
  /** Parts of a request that are due; one whole is let in. */
  #credit = 0;
  #late = 0;

  constructor({ maxInFlight, maxEventLoopDelay }: OverloadLimits) {
    this.#most = maxInFlight > 0 ? maxInFlight : Number.POSITIVE_INFINITY;
    this.#latest = maxEventLoopDelay > 0 ? maxEventLoopDelay : Number.POSITIVE_INFINITY;
  }

  /** Requests that were let in and are not over. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** The share of requests that is let in now, above 0 to 1. */
  get share(): number {
    return this.#share;
  }

  /** Takes one more request on, to be given back with {@link leave}, or says why not. */
  enter(): ShedCause | undefined {
    if (this.#inFlight >= this.#most) return 'in_flight';
    if (this.#share < 1 && this.#inFlight >= FEW) {
      this.#credit += this.#share;
      if (this.#credit < 1) return 'event_loop';
      this.#credit -= 1;
    }
    this.#inFlight++;
    return undefined;
  }

  /** A request that was let in is over, or counts no more: its body is awaited, or it lasts. */
  leave(): void {
    this.#inFlight--;
  }

  /** A request that was let in counts again. @returns false where there is no room for it */
  rejoin(): boolean {
    if (this.#inFlight >= this.#most) return false;
    this.#inFlight++;
    return true;
  }

  /** Takes note of how late the event loop was during one window, in milliseconds. */
  observe(delay: number): void {
    if (delay > this.#latest) {
      if (++this.#late >= PATIENCE) this.#share = Math.max(LEAST, this.#share * LESS);
      return;
    }
    this.#late = 0;
    this.#share = Math.min(1, this.#share + MORE);
  }
}

/**
 * Watches the event loop for an admission.
 *
 * @returns ends it
 */
export function watchLoop(admission: OverloadProtection): () => void {
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION });
  delays.enable();
  const timer = setInterval(() => {
    // What is measured is the time from one look to the next. Without a look there is nothing to say.
    const delay = delays.mean / 1e6 - RESOLUTION;
    delays.reset();
    if (!Number.isNaN(delay)) admission.observe(delay);
  }, WINDOW);
  timer.unref();
  return () => {
    clearInterval(timer);
    delays.disable();
  };
}
