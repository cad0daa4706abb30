import type { Entrance, ShedAudit } from './audit.js';
import type { ShedCause } from './overload.js';

/** How long refused requests are counted before a line is written, in milliseconds. */
const INTERVAL = 1_000;

/** Counts requests that overload protection refused. A line for each would add to the load. */
export interface ShedLog {
  add(entrance: Entrance, cause: ShedCause): void;
  /** Writes the counts. */
  flush(): void;
}

/**
 * Builds the counter.
 *
 * @param write called at most once a second for each entrance and cause
 */
export function createShedLog(write: ShedAudit): ShedLog {
  const counts = new Map<Entrance, Map<ShedCause, number>>();
  let timer: NodeJS.Timeout | undefined;
  function flush(): void {
    clearTimeout(timer);
    timer = undefined;
    for (const [entrance, causes] of counts) {
      for (const [cause, requests] of causes) write({ entrance, cause, requests });
    }
    counts.clear();
  }
  return {
    add(entrance, cause) {
      timer ??= setTimeout(flush, INTERVAL).unref();
      const causes = counts.get(entrance) ?? new Map<ShedCause, number>();
      counts.set(entrance, causes.set(cause, (causes.get(cause) ?? 0) + 1));
    },
    flush,
  };
}
