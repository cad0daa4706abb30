import type { Logger } from 'pino';
import type { ErrorName } from '../model/errors.js';
import type { IntrospectionTrace, RevocationEffect } from '../model/introspection.js';
import type { ShedCause } from './overload.js';

/**
 * The version of the audit line's schema, written in every line. It grows when a field changes its meaning or
 * is removed.
 */
export const AUDIT_VERSION = 1;

/**
 * Where a request came in: at the proxy listener, as a forward-auth call of a proxy (`/decisions`), or in an
 * application with the Fastify plugin.
 */
export type Entrance = 'proxy' | 'decisions' | 'fastify';

/** The contents of one audit line. It holds no token, no query string and no header value. */
export interface AuditEntry {
  readonly entrance: Entrance;
  readonly requestId: string;
  /** The distributed trace that the request belongs to. Undefined if tracing is off. */
  readonly traceId: string | undefined;
  readonly peer: string;
  readonly method: string;
  readonly host: string | undefined;
  /** The canonical path. Undefined if the request target was refused. */
  readonly path: string | undefined;
  /** The path that is sent upstream, if the rule rewrites it. */
  readonly upstreamPath?: string | undefined;
  readonly rule: string | undefined;
  readonly decision: 'allow' | 'deny';
  /** The row of the error table with which the request would be denied, if its rule only observes. */
  readonly wouldDeny?: ErrorName | undefined;
  /** The row of the error table, if the request was denied or failed. */
  readonly error: ErrorName | undefined;
  readonly reason: string | undefined;
  readonly subject: string | undefined;
  readonly clientId: string | undefined;
  readonly introspection: IntrospectionTrace['from'] | undefined;
  /** Milliseconds that the request waited for the answer about its token. */
  readonly introspectionMs: number | undefined;
  /** Milliseconds from the request's head to the decision. */
  readonly decisionMs: number;
  /** The status that the client got; 0 if it closed the connection first. */
  readonly status: number;
  readonly upstreamStatus: number | undefined;
  /** Milliseconds until the upstream's response began. */
  readonly upstreamMs: number | undefined;
  /** A code that says what failed, if something did. */
  readonly cause: string | undefined;
  /** Which cached answers were removed, if the request was a token revocation that succeeded. */
  readonly revocation: RevocationEffect | undefined;
  /** Milliseconds from the request's head to the end of the response. */
  readonly ms: number;
}

/** Receives the entry of every finished request. */
export type Audit = (entry: AuditEntry) => void;

/** Which requests get an audit line. */
export interface AuditOptions {
  /**
   * The share of allowed requests without errors that get a line, 0 to 1. All other requests always get one.
   */
  readonly sampleAllowed: number;
  /** Returns a number from 0 to below 1; tests pass their own. */
  readonly random?: () => number;
}

/**
 * Builds the audit log: one line per decision, in the format of the logger. The line is built by hand because
 * every request pays for it: the logger accepts any object and takes more than twice the CPU time.
 *
 * @param write receives a whole line, with its line break; it may buffer
 */
export function createAudit(write: (line: string) => void, options: AuditOptions): Audit {
  const { sampleAllowed: share, random = Math.random } = options;
  // Lines carry the share, so that a reader who counts them can scale the count up.
  const sampled = share < 1 ? share : undefined;
  return (entry) => {
    const routine =
      entry.decision === 'allow' &&
      entry.wouldDeny === undefined &&
      entry.error === undefined &&
      entry.cause === undefined &&
      entry.revocation === undefined &&
      entry.introspection !== 'stale';
    if (routine && sampled !== undefined && random() >= sampled) return;
    // One expression, because each further `+=` would create an intermediate string.
    write(
      `{"level":30,"time":${Date.now()},"name":"scopegate","audit":${AUDIT_VERSION},"entrance":"${entry.entrance}"` +
        text(',"request_id":"', entry.requestId) +
        text(',"trace_id":"', entry.traceId) +
        text(',"peer":"', entry.peer) +
        text(',"method":"', entry.method) +
        text(',"host":"', entry.host) +
        text(',"path":"', entry.path) +
        text(',"upstream_path":"', entry.upstreamPath) +
        text(',"rule":"', entry.rule) +
        word(',"decision":"', entry.decision) +
        word(',"would_deny":"', entry.wouldDeny) +
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
        word(',"revocation":"', entry.revocation) +
        milliseconds(',"ms":', entry.ms) +
        number(',"sampled":', routine ? sampled : undefined) +
        ',"msg":"decision"}\n',
    );
  };
}

/**
 * Characters that a JSON string must escape, and lone surrogates, which are not valid text (RFC 8259 §7,
 * §8.1).
 */
const TO_ESCAPE = /["\\\u0000-\u001f\u2028\u2029\ud800-\udfff]/;

/**
 * Writes a string field.
 *
 * @param name the text before the value, up to its opening quote
 */
function text(name: string, value: string | undefined): string {
  if (value === undefined) return '';
  return `${name}${TO_ESCAPE.test(value) ? JSON.stringify(value).slice(1, -1) : value}"`;
}

/** Writes a field whose value is one of scopegate's own words, which need no escaping. */
function word(
  name: string,
  value: AuditEntry['decision' | 'error' | 'introspection' | 'revocation' | 'wouldDeny'],
): string {
  return value === undefined ? '' : `${name}${value}"`;
}

function number(name: string, value: number | undefined): string {
  return value === undefined ? '' : name + value;
}

/** Rounds to microseconds, which is fine enough. Writing whole numbers is faster than writing fractions. */
function milliseconds(name: string, value: number | undefined): string {
  if (value === undefined) return '';
  const all = Math.round(value * 1000);
  const micros = all % 1000;
  return name + (all - micros) / 1000 + FRACTIONS[micros];
}

/** The digits after the decimal point, for each number of microseconds. */
const FRACTIONS: readonly string[] = Array.from({ length: 1000 }, (_, micros) =>
  micros === 0 ? '' : `.${String(micros).padStart(3, '0')}`,
);

/** Requests of one entrance that overload protection refused within a second, for one cause. */
export interface ShedEntry {
  readonly entrance: Entrance;
  readonly cause: ShedCause;
  readonly requests: number;
}

/** Receives the counts of requests that overload protection refused. */
export type ShedAudit = (entry: ShedEntry) => void;

/** Builds the audit of requests that overload protection refused: one line for many requests. */
export function createShedAudit(logger: Logger): ShedAudit {
  return ({ entrance, cause, requests }) =>
    logger.info(
      { audit: AUDIT_VERSION, entrance, decision: 'deny', error: 'overloaded', status: 503, cause, requests },
      'overloaded',
    );
}

/** The description of one field of the audit line, for docs/audit.md. */
export interface AuditField {
  readonly type: 'string' | 'integer' | 'number';
  /** Whether every line has the field. */
  readonly always?: true;
  /** The possible values, if there are few. */
  readonly values?: readonly (string | number)[];
  readonly meaning: string;
}

/** The schema of the audit line: every possible field, in the order in which they are written. */
export const AUDIT_FIELDS: Readonly<Record<string, AuditField>> = {
  level: { type: 'integer', always: true, values: [30], meaning: 'The level of pino: 30 is `info`.' },
  time: {
    type: 'integer',
    always: true,
    meaning: 'When scopegate wrote the line, in milliseconds since 1970.',
  },
  name: { type: 'string', always: true, values: ['scopegate'], meaning: 'The program.' },
  audit: { type: 'integer', always: true, values: [AUDIT_VERSION], meaning: 'The version of this schema.' },
  entrance: {
    type: 'string',
    always: true,
    values: ['proxy', 'decisions', 'fastify'],
    meaning:
      'Where the request came in: at the proxy listener (`proxy`), as a forward-auth call of a proxy (`decisions`), or in an application with the Fastify plugin (`fastify`).',
  },
  request_id: {
    type: 'string',
    always: true,
    meaning:
      'The identifier of the request: the X-Request-Id of a trusted peer, or a new one. The upstream gets the same identifier.',
  },
  trace_id: {
    type: 'string',
    meaning: 'The trace that the request belongs to, 32 hexadecimal digits. Absent if tracing is off.',
  },
  peer: {
    type: 'string',
    always: true,
    meaning: 'The address at the other end of the connection. X-Forwarded-For does not change it.',
  },
  method: {
    type: 'string',
    always: true,
    meaning:
      'The method. With forward-auth, the method of the original request. Empty if the request could not be parsed.',
  },
  host: { type: 'string', meaning: 'The host, in lower case and without port. Absent if it was refused.' },
  path: {
    type: 'string',
    meaning: 'The canonical path, without the query. Absent if it was refused.',
  },
  upstream_path: {
    type: 'string',
    meaning:
      'The canonical path that was sent upstream, without the query, if the rule has `stripPath` or `upstreamPath`.',
  },
  rule: {
    type: 'string',
    meaning: '`namespace/name#index` of the rule that decided. Absent if no rule matched.',
  },
  decision: { type: 'string', always: true, values: ['allow', 'deny'], meaning: 'The decision.' },
  would_deny: {
    type: 'string',
    meaning:
      'The name of the error with which the request would have been denied, if `enforcement: observe` let it pass. `reason` says why.',
  },
  error: {
    type: 'string',
    meaning: 'The name of the error that the client got. Absent if there was none.',
  },
  reason: {
    type: 'string',
    meaning:
      'Why the request was denied, or with `would_deny` would have been. A denied client got the same text.',
  },
  subject: {
    type: 'string',
    meaning: 'The `sub` of the token, from the authorization server. Empty for a request without a token.',
  },
  client_id: { type: 'string', meaning: 'The `client_id` of the token.' },
  introspection: {
    type: 'string',
    values: ['hit', 'shared', 'miss', 'coalesced', 'stale', 'failed', 'limited'],
    meaning:
      'Where the answer about the token came from: the cache (`hit`), the cache that gateways share (`shared`), an introspection call (`miss`), the call of another request (`coalesced`), or an expired cache entry, because the authorization server gave no answer (`stale`). `failed`: there was no answer. `limited`: scopegate made no call, because the client has sent too many unknown tokens that are not active.',
  },
  introspection_ms: {
    type: 'number',
    meaning: 'How long the request waited for that answer, in milliseconds.',
  },
  decision_ms: {
    type: 'number',
    always: true,
    meaning: 'Milliseconds from the head of the request to the decision.',
  },
  status: {
    type: 'integer',
    always: true,
    meaning:
      'The status that the client got; 101 for a WebSocket; 0 if the client closed the connection first.',
  },
  upstream_status: { type: 'integer', meaning: 'The status that the upstream sent.' },
  upstream_ms: { type: 'number', meaning: 'Milliseconds until the response of the upstream began.' },
  cause: {
    type: 'string',
    meaning:
      'A code that says what failed, such as `ECONNREFUSED`, `headers_timeout`, `client_closed`, or `answer_invalid:` followed by the invalid part of the response. If a token cannot be checked, it says why the introspection failed: also `timeout`, `breaker_open`, `queue_full`, `queue_timeout`, `not_ready`, `status_` and the status of the answer, `unusable_answer`, or else the words of the line `introspection failed`.',
  },
  revocation: {
    type: 'string',
    values: ['token', 'client', 'client_delayed', 'all', 'all_delayed', 'none'],
    meaning:
      'Which cached answers scopegate removed, if the request was an observed revocation that succeeded: those about its `token`; those about all tokens of its `client`; `all`, because the form could not be read; or `none`, because it names no token. `_delayed`: scopegate had removed the same answers less than a second before, and removes them again when that second is over.',
  },
  ms: {
    type: 'number',
    always: true,
    meaning: 'Milliseconds from the head of the request to the end of the response.',
  },
  sampled: {
    type: 'number',
    meaning: 'The share of such requests that get a line, if `log.sampleAllowed` is below 1.',
  },
  msg: { type: 'string', always: true, values: ['decision'], meaning: 'The kind of line.' },
};
