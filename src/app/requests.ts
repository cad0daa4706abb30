import type { Logger } from 'pino';
import type { Recent } from '../admin/recent.js';
import type { Settings } from '../config/settings.js';
import { denial } from '../model/errors.js';
import { createAudit, createShedAudit } from '../observe/audit.js';
import type { Metrics } from '../observe/metric-events.js';
import { OverloadProtection, watchLoop } from '../observe/overload.js';
import { traceOf } from '../observe/redaction.js';
import type { EntranceOptions } from '../observe/request-record.js';
import { createShedLog } from '../observe/shed-log.js';
import type { LogOutput } from './log-output.js';

/** The response to a request that is refused because of overload. */
const FULL = denial('overloaded', 'too many requests at once', { retryAfter: 1 });

/** How requests are admitted and recorded, the same for every listener. */
export interface RequestAccounts extends Pick<EntranceOptions, 'admit' | 'audit' | 'onFault'> {
  readonly inFlight: OverloadProtection;
  /** Stops watching the event loop and writes the pending log lines about shed requests. */
  close(): void;
}

/**
 * Builds what one gateway admits and records requests with: overload protection, audit lines, metrics, and
 * the decisions on the admin page.
 */
export function createAccounts(
  { server, log: logging }: Settings,
  { log, audits, write }: LogOutput,
  metrics: Metrics,
  recent: Recent,
): RequestAccounts {
  const overload = new OverloadProtection(server);
  const unwatch = server.maxEventLoopDelay > 0 ? watchLoop(overload) : () => {};
  const shed = createShedLog(audits ? createShedAudit(log) : () => {});
  const writeAudit = audits ? createAudit(write, logging) : () => {};
  return {
    inFlight: overload,
    admit(entrance, method) {
      const cause = overload.enter();
      if (cause === undefined) return undefined;
      metrics.shed(entrance, method, cause);
      shed.add(entrance, cause);
      return FULL;
    },
    audit(entry) {
      metrics.record(entry);
      recent.add(entry);
      writeAudit(entry);
    },
    onFault: (place, error) => onFault(log, metrics, place, error),
    close() {
      unwatch();
      shed.flush();
    },
  };
}

/** Records a bug in scopegate that ended one exchange. */
function onFault(log: Logger, metrics: Metrics, place: string, error: unknown): void {
  metrics.failed();
  log.error({ place, err: traceOf(error) }, 'request failed');
}
