/** Work that exceeded its time limit. */
export class TimedOut extends Error {
  readonly code = 'ETIMEDOUT';
  constructor() {
    super('the time limit was exceeded');
    this.name = 'TimedOut';
  }
}

/**
 * Waits for work, up to a limit. A result that comes later is ignored.
 *
 * @param limit milliseconds, or the signal that ends the wait
 * @returns the result of the work
 * @throws what the work throws; {@link TimedOut} after the milliseconds; the signal's reason when it aborts
 */
export async function within<T>(limit: number | AbortSignal, work: PromiseLike<T>): Promise<T> {
  if (typeof limit !== 'number') limit.throwIfAborted();
  let stop = (): void => {};
  const late = new Promise<never>((_resolve, reject) => {
    if (typeof limit === 'number') {
      const timer = setTimeout(() => reject(new TimedOut()), limit);
      stop = () => clearTimeout(timer);
    } else {
      const onAbort = (): void => reject(limit.reason);
      limit.addEventListener('abort', onAbort, { once: true });
      stop = () => limit.removeEventListener('abort', onAbort);
    }
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    stop();
  }
}
