import type { Clock } from '../src/model/clock.js';

/** A clock whose hands a test turns. */
export interface FakeClock extends Clock {
  /** Lets time pass, in milliseconds: both hands move. */
  advance(milliseconds: number): void;
  /** Sets the wall clock forward or back, in seconds, while no time passes. */
  step(seconds: number): void;
}

/** Makes one that stands at `start`, in seconds since 1970. */
export function fakeClock(start = 1_790_000_000): FakeClock {
  let passed = 50_000;
  let wall = start;
  return {
    monotonic: () => passed,
    wall: () => wall,
    advance(milliseconds) {
      passed += milliseconds;
      wall += milliseconds / 1000;
    },
    step(seconds) {
      wall += seconds;
    },
  };
}
