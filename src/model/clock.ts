/** Time as a parameter: what lives, waits or expires asks a clock, and tests turn its hands. */
export interface Clock {
  /** Milliseconds that never step back, for lifetimes and durations. */
  monotonic(): number;
  /** Seconds since 1970 as the world has them, for `exp` and `nbf`. */
  wall(): number;
}

/** The machine's own clock. */
export const systemClock: Clock = {
  monotonic: () => performance.now(),
  wall: () => Date.now() / 1000,
};
