/** Milliseconds of work before others have their turn. */
const SLICE = 5;

/** Does all of a work that comes in steps. */
export function atOnce<T>(work: Generator<void, T>): T {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}

/**
 * Does a work that comes in steps a few milliseconds at a time: in between, the event loop serves whoever waits.
 *
 * @param signal ends it between two slices; the promise is then rejected with its reason
 */
export async function inSlices<T>(work: Generator<void, T>, signal?: AbortSignal): Promise<T> {
  try {
    for (;;) {
      signal?.throwIfAborted();
      const end = performance.now() + SLICE;
      do {
        const step = work.next();
        if (step.done === true) return step.value;
      } while (performance.now() < end);
      await new Promise((resolve) => setImmediate(resolve));
    }
  } finally {
    // An abandoned work closes what it has open.
    work.return(undefined as never);
  }
}
