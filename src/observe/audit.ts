import type { Logger } from 'pino';
import type { ErrorName } from '../model/errors.js';
import type { IntrospectionTrace } from '../model/introspection.js';
import type { ShedCause } from './overload.js';

/** The audit line's schema version, in every line; grows when a field changes its meaning or goes. */
export const AUDIT_VERSION = 1;

/** Where a request came in: to be forwarded, or as a proxy's question about one (`/decisions`). */
export type Entrance = 'proxy' | 'decisions';

/** What one request leaves behind in the log. No token, no query string, no header value. */
export interface AuditEntry {
  readonly entrance: Entrance;
  readonly requestId: string;
  /** Of the distributed trace it is part of; undefined where tracing is off. */
  readonly traceId: string | undefined;
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
  readonly introspection: IntrospectionTrace['from'] | undefined;
  /** Milliseconds. */
  readonly introspectionMs: number | undefined;
  /** Milliseconds from the request's head to the decision. */
  readonly decisionMs: number;
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

/** Told of every request once it is over. */
export type Audit = (entry: AuditEntry) => void;

/** Which requests get a line. */
export interface AuditOptions {
  /** The share of requests that were allowed and went well, 0 to 1; all others always get theirs. */
  readonly sampleAllowed: number;
  /** At least 0, less than 1; for tests. */
  readonly random?: () => number;
}

/**
 * Builds the audit log: one line a decision, of the form of the logger's own. It is put together by hand, because this is
 * the one line that every request pays for: the logger, which is made for any object, takes more than twice the time.
 *
 * @param write takes a line with its end; it decides about buffering
 */
export function createAudit(write: (line: string) => void, options: AuditOptions): Audit {
  const { sampleAllowed: share, random = Math.random } = options;
  // Counting lines must be able to scale up what was left out.
  const sampled = share < 1 ? share : undefined;
  return (entry) => {
    const routine =
      entry.decision === 'allow' &&
      entry.error === undefined &&
      entry.cause === undefined &&
      entry.introspection !== 'stale';
    if (routine && sampled !== undefined && random() >= sampled) return;
    // One expression: each statement that adds to a text would cost a piece that has to be joined to it.
    write(
      `{"level":30,"time":${Date.now()},"name":"scopegate","audit":${AUDIT_VERSION},"entrance":"${entry.entrance}"` +
        text(',"request_id":"', entry.requestId) +
        text(',"trace_id":"', entry.traceId) +
        text(',"peer":"', entry.peer) +
        text(',"method":"', entry.method) +
        text(',"host":"', entry.host) +
        text(',"path":"', entry.path) +
        text(',"rule":"', entry.rule) +
        word(',"decision":"', entry.decision) +
        word(',"error":"', entry.error) +
        text(',"reason":"', entry.reason) +
        text(',"subject":"', entry.subject) +
        text(',"client_id":"', entry.clientId) +
        word(',"introspection":"', entry.introspection) +
        milliseconds(',"introspection_ms":', entry.introspectionMs) +
        milliseconds(',"decision_ms":', entry.decisionMs) +
        number(',"status":', entry.status) +
        number(',"upstream_status":', entry.upstreamStatus) +
        milliseconds(',"upstream_ms":', entry.upstreamMs) +
        text(',"cause":"', entry.cause) +
        milliseconds(',"ms":', entry.ms) +
        number(',"sampled":', routine ? sampled : undefined) +
        ',"msg":"decision"}\n',
    );
  };
}

/** What cannot stand in a JSON text as it is, and lone surrogates, which are no text (RFC 8259 §7, §8.1). */
const TO_ESCAPE = /["\\\u0000-\u001f\u2028\u2029\ud800-\udfff]/;

/** @param name what stands before the value, with its opening quote */
function text(name: string, value: string | undefined): string {
  if (value === undefined) return '';
  return `${name}${TO_ESCAPE.test(value) ? JSON.stringify(value).slice(1, -1) : value}"`;
}

/** A value that is one of our own words: there is nothing to escape in it. */
function word(name: string, value: AuditEntry['decision' | 'error' | 'introspection']): string {
  return value === undefined ? '' : `${name}${value}"`;
}

function number(name: string, value: number | undefined): string {
  return value === undefined ? '' : name + value;
}

/** Microseconds are as fine as anybody reads; whole numbers are written faster than fractions. */
function milliseconds(name: string, value: number | undefined): string {
  if (value === undefined) return '';
  const all = Math.round(value * 1000);
  const micros = all % 1000;
  return name + (all - micros) / 1000 + FRACTIONS[micros];
}

/** The digits after the point, by microseconds. */
const FRACTIONS: readonly string[] = Array.from({ length: 1000 }, (_, micros) =>
  micros === 0 ? '' : `.${String(micros).padStart(3, '0')}`,
);

/** Requests of one entrance that were turned away unread within a second, and for want of what. */
export interface ShedEntry {
  readonly entrance: Entrance;
  readonly cause: ShedCause;
  readonly requests: number;
}

/** Told of requests that were turned away unread. */
export type ShedAudit = (entry: ShedEntry) => void;

/** Builds the audit of requests that were turned away unread, a line for many. */
export function createShedAudit(logger: Logger): ShedAudit {
  return ({ entrance, cause, requests }) =>
    logger.info(
      { audit: AUDIT_VERSION, entrance, decision: 'deny', error: 'overloaded', status: 503, cause, requests },
      'overloaded',
    );
}

/** One field of the audit line, for the reference. */
export interface AuditField {
  readonly type: 'string' | 'integer' | 'number';
  /** Whether every line has it. */
  readonly always?: true;
  /** The values it may have, where they are few. */
  readonly values?: readonly (string | number)[];
  readonly meaning: string;
}

/** The audit line's schema: every field it may have, in the order it has them. */
export const AUDIT_FIELDS: Readonly<Record<string, AuditField>> = {
  level: { type: 'integer', always: true, values: [30], meaning: 'The level of pino: 30 is `info`.' },
  time: { type: 'integer', always: true, meaning: 'When the line was written, in milliseconds since 1970.' },
  name: { type: 'string', always: true, values: ['scopegate'], meaning: 'The program.' },
  audit: { type: 'integer', always: true, values: [AUDIT_VERSION], meaning: 'The version of this schema.' },
  entrance: {
    type: 'string',
    always: true,
    values: ['proxy', 'decisions'],
    meaning: 'Where the request came in: to be forwarded, or as a question of a proxy (forward-auth).',
  },
  request_id: {
    type: 'string',
    always: true,
    meaning:
      'The identifier of the request: the X-Request-Id of a trusted peer, or a new one; the upstream gets the same.',
  },
  trace_id: {
    type: 'string',
    meaning: 'The trace the request is part of, 32 hexadecimal digits; absent where tracing is off.',
  },
  peer: {
    type: 'string',
    always: true,
    meaning: 'The address at the other end of the connection, whatever X-Forwarded-For says.',
  },
  method: {
    type: 'string',
    always: true,
    meaning:
      'The method; with forward-auth that of the original request. Empty where what came could not be parsed as a request.',
  },
  host: { type: 'string', meaning: 'The host, in lower case and without port; absent where it was refused.' },
  path: {
    type: 'string',
    meaning: 'The canonical path, without the query; absent where it was refused.',
  },
  rule: {
    type: 'string',
    meaning: '`namespace/name#index` of the rule that decided; absent where none matched.',
  },
  decision: { type: 'string', always: true, values: ['allow', 'deny'], meaning: 'The decision.' },
  error: {
    type: 'string',
    meaning: 'The error of the table that the client was answered with; absent where all went well.',
  },
  reason: { type: 'string', meaning: 'Why the request was denied, as the client was told.' },
  subject: {
    type: 'string',
    meaning:
      'The `sub` of the token, as the authorization server says it; empty for a request without a token.',
  },
  client_id: { type: 'string', meaning: 'The `client_id` of the token.' },
  introspection: {
    type: 'string',
    values: ['hit', 'shared', 'miss', 'coalesced', 'stale', 'failed', 'limited'],
    meaning:
      'Where the answer about the token came from: the cache (`hit`), the cache that gateways share (`shared`), a call (`miss`), a call that another request had begun (`coalesced`), or the cache after its time, because the authorization server gave no answer (`stale`). `failed`: from nowhere. `limited`: nobody was asked, for the client has sent too many tokens that are none.',
  },
  introspection_ms: { type: 'number', meaning: 'Milliseconds waited for that answer.' },
  decision_ms: {
    type: 'number',
    always: true,
    meaning: 'Milliseconds from the head of the request to the decision.',
  },
  status: {
    type: 'integer',
    always: true,
    meaning: 'The status the client got; 101 for a WebSocket; 0 for a client that left before it was told.',
  },
  upstream_status: { type: 'integer', meaning: 'The status the upstream answered with.' },
  upstream_ms: { type: 'number', meaning: 'Milliseconds until the answer of the upstream began.' },
  cause: {
    type: 'string',
    meaning:
      'A code of what broke, such as `ECONNREFUSED`, `headers_timeout`, `client_closed`, or `answer_invalid:` with what of an answer it was.',
  },
  ms: {
    type: 'number',
    always: true,
    meaning: 'Milliseconds from the head of the request to the end of the answer.',
  },
  sampled: {
    type: 'number',
    meaning: 'The share of such requests that get a line, where `log.sampleAllowed` is below 1.',
  },
  msg: { type: 'string', always: true, values: ['decision'], meaning: 'What kind of line this is.' },
};
