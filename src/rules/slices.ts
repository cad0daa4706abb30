/** Milliseconds of work before the event loop gets its turn. */
const SLICE = 5;

/** Runs all steps of a work at once. */
export function atOnce<T>(work: Generator<void, T>): T {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}

/**
 * Runs the steps of a work for a few milliseconds at a time. In between, the event loop serves other tasks.
 *
 * @param signal aborts the work between two slices; the promise is then rejected with the signal's reason
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
    // Lets an aborted work close what it has open.
    work.return(undefined as never);
  }
}
