import { setTimeout as pause } from 'node:timers/promises';
import type { Io } from '../command.js';

/** What one round writes to. */
interface RoundOutput extends Pick<Io, 'out' | 'err' | 'styles'> {
  readonly step: () => void;
}

/**
 * Runs rounds until the process gets SIGTERM or SIGINT. A round that has started is finished first. The first
 * round prints everything that happened. Later ones print only what changed: clients that were created or
 * updated, and errors that the previous round did not have.
 *
 * @param interval milliseconds from the end of one round to the start of the next
 * @param round runs one round; it returns whether something failed
 * @returns the exit code
 */
export async function watch(
  interval: number,
  round: (output: RoundOutput) => Promise<boolean>,
  io: Pick<Io, 'out' | 'err' | 'styles'>,
): Promise<number> {
  const stop = new AbortController();
  const end = (): void => stop.abort();
  process.once('SIGTERM', end);
  process.once('SIGINT', end);
  let printed: ReadonlySet<string> = new Set();
  let failedBefore = true;
  try {
    while (!stop.signal.aborted) {
      const lines = new Set<string>();
      const quiet = !failedBefore;
      failedBefore = await round({
        ...(io.styles === undefined ? {} : { styles: io.styles }),
        out(line) {
          if (!quiet || !line.endsWith(' unchanged\n')) io.out(line);
        },
        err(line) {
          lines.add(line);
          if (!printed.has(line)) io.err(line);
        },
        step() {},
      });
      printed = lines;
      await pause(interval, undefined, { signal: stop.signal }).catch(() => {});
    }
    return 0;
  } finally {
    process.off('SIGTERM', end);
    process.off('SIGINT', end);
  }
}
