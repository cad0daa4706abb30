import { type Denial, denial } from '../model/errors.js';
import { RequestBodyError, type RequestBodyFault } from './request-body.js';
import {
  BODY_TIMEOUT,
  CLIENT_SHARE,
  HEAD_TIMEOUT,
  LONG_FULL,
  QUEUE_TIMEOUT,
} from './upstream/interrupted.js';
import { UnsendableRequest } from './upstream/request-head.js';

/** The cause of an exchange that ended because of an error in scopegate. */
export const FAULT = 'internal_error';

/** The cause of a response whose head Node refuses to write. */
export const HEAD_REFUSED = 'answer_head_refused';

/** The rows of the error table for failed exchanges. */
export type ErrorFor =
  | 'upstream_unreachable'
  | 'upstream_invalid'
  | 'upstream_timeout'
  | 'overloaded'
  | 'too_many_requests'
  | 'body_too_large'
  | 'request_timeout'
  | 'malformed_request'
  | 'internal';

/** What a client may do if there are too many requests: try again after this many seconds. */
const RETRY = { retryAfter: 1 };

/** The response to the client for each failure. */
export const FAILURES: Readonly<Record<ErrorFor, Denial>> = {
  upstream_unreachable: denial('upstream_unreachable', 'no connection to the upstream'),
  upstream_invalid: denial(
    'upstream_invalid',
    'the upstream closed the connection early or sent an invalid response',
  ),
  upstream_timeout: denial('upstream_timeout', 'the upstream took too long'),
  overloaded: denial('overloaded', 'too many requests to this upstream at once', RETRY),
  too_many_requests: denial('too_many_requests', 'too many requests of this client at once', RETRY),
  body_too_large: denial('body_too_large', 'the request body is too large'),
  request_timeout: denial('request_timeout', 'the request body stalled'),
  malformed_request: denial('malformed_request', 'the request body is broken'),
  internal: denial('internal', 'the request could not be sent'),
};

/**
 * The row of the error table for a failed exchange.
 *
 * @param cause the result of `causeOf`
 */
export function errorFor(error: Error, cause: string): ErrorFor {
  if (error instanceof RequestBodyError) return BODY_ERRORS[error.code];
  if (OVERLOADED.has(cause)) return 'overloaded';
  if (cause === CLIENT_SHARE) return 'too_many_requests';
  if (error instanceof UnsendableRequest) return 'internal';
  if (TIMEOUTS.has(cause)) return 'upstream_timeout';
  return UNREACHABLE.test(cause) ? 'upstream_unreachable' : 'upstream_invalid';
}

/** Whether an error is a bug in a program, not a failure of a connection. */
export function isFault(error: Error): boolean {
  return (
    FAULTS.some((kind) => error instanceof kind) && typeof (error as { code?: unknown }).code !== 'string'
  );
}

const BODY_ERRORS: Readonly<Record<RequestBodyFault, ErrorFor>> = {
  request_body_broken: 'malformed_request',
  request_body_too_large: 'body_too_large',
  request_body_stalled: 'request_timeout',
  request_body_too_slow: 'request_timeout',
  request_body_evicted: 'overloaded',
};

const FAULTS = [TypeError, RangeError, ReferenceError, SyntaxError];

const TIMEOUTS = new Set(['UND_ERR_CONNECT_TIMEOUT', HEAD_TIMEOUT, BODY_TIMEOUT, 'ETIMEDOUT']);

const OVERLOADED = new Set([QUEUE_TIMEOUT, LONG_FULL]);

const UNREACHABLE =
  /^(?:ECONNREFUSED|ENOTFOUND|EAI_|EHOST|ENETUNREACH|EMFILE|ENFILE|EADDR|CERT_|ERR_TLS_|ERR_SSL_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_MISMATCH)/;
