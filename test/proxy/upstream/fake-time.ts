import type { Scope } from '../../gateway.js';

/** Time that passes when a test says so, for code that asks `performance` and `setTimeout`. */
export interface FakeTime {
  /** Lets time pass, in milliseconds, and lets the timers go off that are due. */
  advance(milliseconds: number): void;
  /** How many timers have been set, and how many of them are still to go off. */
  readonly timers: { readonly set: number; readonly pending: number };
}

/** Stops time until the test ends. */
export function fakeTime(t: Scope): FakeTime {
  let now = 50_000.5;
  let set = 0;
  const pending = new Map<object, { at: number; run: () => void }>();
  const { setTimeout, clearTimeout } = globalThis;
  const real = performance.now;
  t.teardown(() => {
    Object.assign(globalThis, { setTimeout, clearTimeout });
    performance.now = real;
  });
  performance.now = () => now;
  Object.assign(globalThis, {
    setTimeout(run: () => void, milliseconds: number) {
      const timer = { unref: () => timer };
      set++;
      // As Node's: whole milliseconds, so one may go off half a millisecond early; and endless is at once.
      pending.set(timer, { at: Math.floor(now) + (milliseconds < 2 ** 31 ? milliseconds : 1), run });
      return timer;
    },
    clearTimeout(timer: object | undefined) {
      if (timer !== undefined) pending.delete(timer);
    },
  });
  return {
    advance(milliseconds) {
      const until = now + milliseconds;
      for (;;) {
        const [next] = [...pending].sort(([, a], [, b]) => a.at - b.at);
        if (next === undefined || next[1].at > until) break;
        pending.delete(next[0]);
        now = Math.max(now, next[1].at);
        next[1].run();
      }
      now = until;
    },
    get timers() {
      return { set, pending: pending.size };
    },
  };
}

/** What is to happen next in the event loop happens. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
