/**
 * Time as a parameter: code that measures durations or checks expiry asks a clock, so that tests can set the
 * time.
 */
export interface Clock {
  /** Milliseconds that never go backwards, for lifetimes and durations. */
  monotonic(): number;
  /** Wall-clock time in seconds since 1970, for `exp` and `nbf`. */
  wall(): number;
}

/** The clock of the machine. */
export const systemClock: Clock = {
  monotonic: () => performance.now(),
  wall: () => Date.now() / 1000,
};
