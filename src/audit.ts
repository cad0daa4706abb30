import type { Logger } from 'pino';
import type { ErrorName } from './errors.js';

/** The audit line's schema version, in every line; grows when a field changes its meaning or goes. */
export const AUDIT_VERSION = 1;

/** What one request leaves behind in the log. No token, no query string, no header value. */
export interface AuditEntry {
  readonly requestId: string;
  readonly peer: string;
  readonly method: string;
  readonly host: string | undefined;
  /** Canonical; absent where the target was refused. */
  readonly path: string | undefined;
  readonly rule: string | undefined;
  readonly decision: 'allow' | 'deny';
  /** Why it was denied or failed, in the error table's words. */
  readonly error: ErrorName | undefined;
  readonly reason: string | undefined;
  readonly subject: string | undefined;
  readonly clientId: string | undefined;
  readonly introspection: 'hit' | 'miss' | 'coalesced' | 'failed' | undefined;
  /** Milliseconds. */
  readonly introspectionMs: number | undefined;
  /** What the client was told; 0 when it left first. */
  readonly status: number;
  readonly upstreamStatus: number | undefined;
  /** Milliseconds until the upstream's answer began. */
  readonly upstreamMs: number | undefined;
  /** A code of what broke, if something did. */
  readonly cause: string | undefined;
  /** Milliseconds from the request's head to the answer's end. */
  readonly ms: number;
}

/** Writes one line a decision. */
export type Audit = (entry: AuditEntry) => void;

/**
 * Builds the audit log on a pino logger.
 *
 * @param logger its destination decides about buffering
 */
export function createAudit(logger: Logger): Audit {
  return (entry) => {
    logger.info(
      {
        audit: AUDIT_VERSION,
        request_id: entry.requestId,
        peer: entry.peer,
        method: entry.method,
        host: entry.host,
        path: entry.path,
        rule: entry.rule,
        decision: entry.decision,
        error: entry.error,
        reason: entry.reason,
        subject: entry.subject,
        client_id: entry.clientId,
        introspection: entry.introspection,
        introspection_ms: rounded(entry.introspectionMs),
        status: entry.status,
        upstream_status: entry.upstreamStatus,
        upstream_ms: rounded(entry.upstreamMs),
        cause: entry.cause,
        ms: rounded(entry.ms),
      },
      'decision',
    );
  };
}

/** Microseconds are as fine as anybody reads. */
function rounded(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : Math.round(ms * 1000) / 1000;
}
