/**
 * Every way the gateway refuses a request, in one table: what the client is told and nothing else.
 * Internal detail (addresses, library messages, stack traces) goes to the log, never into an answer.
 */
export interface ErrorRow {
  /** HTTP status code. */
  readonly code: number;
  /** The status's registered phrase (RFC 9110 §15). */
  readonly status: string;
  /** One sentence for a person. */
  readonly message: string;
  /** The challenge's error code (RFC 6750 §3.1, RFC 9449 §12.2, RFC 9470 §3), where the refusal has one. */
  readonly oauth?:
    | 'invalid_request'
    | 'invalid_token'
    | 'insufficient_scope'
    | 'insufficient_user_authentication'
    | 'invalid_dpop_proof'
    | 'use_dpop_nonce';
  /** Whether the answer carries `WWW-Authenticate`. */
  readonly challenge?: true;
  /** Whether the connection cannot be trusted afterwards and is closed (RFC 9112 §9.6, §11.2). */
  readonly close?: true;
}

/** The table. Keys are stable: logs, metrics and tests name them. */
export const ERRORS = {
  malformed_request: {
    code: 400,
    status: 'Bad Request',
    message: 'The request is malformed or ambiguous',
    close: true,
  },
  malformed_target: {
    code: 400,
    status: 'Bad Request',
    message: 'The request target is malformed or ambiguous',
    close: true,
  },
  request_timeout: {
    code: 408,
    status: 'Request Timeout',
    message: 'The request did not arrive in time',
    close: true,
  },
  body_too_large: {
    code: 413,
    status: 'Content Too Large',
    message: 'The request body is larger than this gateway accepts',
    close: true,
  },
  target_too_long: {
    code: 414,
    status: 'URI Too Long',
    message: 'The request target is longer than this gateway accepts',
    close: true,
  },
  expectation_failed: {
    code: 417,
    status: 'Expectation Failed',
    message: 'The expectation in the Expect field is not supported',
    close: true,
  },
  headers_too_large: {
    code: 431,
    status: 'Request Header Fields Too Large',
    message: 'The request header fields are larger than this gateway accepts',
    close: true,
  },
  untrusted_peer: {
    code: 403,
    status: 'Forbidden',
    message: 'Only a trusted proxy may ask for decisions',
  },
  no_rule: {
    code: 404,
    status: 'Not Found',
    message: 'No rule matches the requested host, method and path',
  },
  method_refused: {
    code: 405,
    status: 'Method Not Allowed',
    message: 'This gateway does not serve the method',
    close: true,
  },
  no_token: {
    code: 401,
    status: 'Unauthorized',
    message: 'The request carries no bearer token',
    challenge: true,
  },
  unauthorized: {
    code: 401,
    status: 'Unauthorized',
    message: 'Access is denied to everyone',
    challenge: true,
  },
  invalid_request: {
    code: 400,
    status: 'Bad Request',
    message: 'The request carries a malformed token, or more than one',
    oauth: 'invalid_request',
    challenge: true,
  },
  invalid_token: {
    code: 401,
    status: 'Unauthorized',
    message: 'The token is inactive, expired, or not meant for this resource',
    oauth: 'invalid_token',
    challenge: true,
  },
  invalid_dpop_proof: {
    code: 401,
    status: 'Unauthorized',
    message: 'The request does not prove that it has the key of the token',
    oauth: 'invalid_dpop_proof',
    challenge: true,
  },
  use_dpop_nonce: {
    code: 401,
    status: 'Unauthorized',
    message: 'The proof must hold a nonce of this gateway',
    oauth: 'use_dpop_nonce',
    challenge: true,
  },
  insufficient_scope: {
    code: 403,
    status: 'Forbidden',
    message: 'The token lacks a scope that this resource requires',
    oauth: 'insufficient_scope',
    challenge: true,
  },
  insufficient_user_authentication: {
    code: 401,
    status: 'Unauthorized',
    message: 'The user has to log in anew, or in a stronger way',
    oauth: 'insufficient_user_authentication',
    challenge: true,
  },
  access_denied: {
    code: 403,
    status: 'Forbidden',
    message: 'The token is good, and gives no access to this resource',
  },
  too_many_bad_tokens: {
    code: 429,
    status: 'Too Many Requests',
    message: 'Too many invalid tokens came from this client',
  },
  authorization_server_unavailable: {
    code: 503,
    status: 'Service Unavailable',
    message: 'The token cannot be checked at the moment',
  },
  overloaded: {
    code: 503,
    status: 'Service Unavailable',
    message: 'The gateway is overloaded or shutting down',
  },
  upstream_unreachable: {
    code: 502,
    status: 'Bad Gateway',
    message: 'The upstream cannot be reached',
  },
  upstream_invalid: {
    code: 502,
    status: 'Bad Gateway',
    message: 'The upstream gave an invalid answer',
  },
  upstream_timeout: {
    code: 504,
    status: 'Gateway Timeout',
    message: 'The upstream did not answer in time',
  },
  loop_detected: {
    code: 508,
    status: 'Loop Detected',
    message: 'The request has passed this gateway before',
  },
  internal: {
    code: 500,
    status: 'Internal Server Error',
    message: 'The gateway failed to handle the request',
    close: true,
  },
} as const satisfies Record<string, ErrorRow>;

/** A row's stable name. */
export type ErrorName = keyof typeof ERRORS;

/** What a client has to know to use DPoP. */
export interface DpopChallenge {
  /** Signature algorithms, with spaces between. */
  readonly algorithms: string;
  /** Whether the scheme Bearer is of no use. */
  readonly alone: boolean;
}

/** What a login must be like to be enough. */
export interface StepUp {
  /** Authentication context classes, the preferred one first. */
  readonly acrValues?: readonly string[];
  /** Seconds since the login. */
  readonly maxAge?: number;
}

/** A refusal: a row of the table with what this one request adds to it. */
export interface Denial {
  readonly error: ErrorName;
  /** Why, in words that are safe to show the client: never a token, an address or a library's message. */
  readonly reason: string;
  /** The scopes the resource requires, for the challenge's `scope` attribute (RFC 6750 §3). */
  readonly scopes?: readonly string[];
  /** How the user has to log in (RFC 9470 §3). */
  readonly stepUp?: StepUp;
  /** That DPoP is served here, for the challenge (RFC 9449 §7.1). */
  readonly dpop?: DpopChallenge;
  /** The scheme of the credential that is refused, where it is not Bearer. */
  readonly scheme?: 'DPoP';
  /** The nonce for the client's next proof, for `DPoP-Nonce` (RFC 9449 §9). */
  readonly nonce?: string;
  /** The URL of the resource's metadata, for the challenge's `resource_metadata` attribute (RFC 9728 §5.1). */
  readonly resourceMetadata?: string;
  /** Seconds to wait, for `Retry-After` (RFC 9110 §10.2.3). */
  readonly retryAfter?: number;
}

/** Short form for `{ error, reason, … }`. */
export function denial(error: ErrorName, reason: string, more?: Omit<Denial, 'error' | 'reason'>): Denial {
  return { error, reason, ...more };
}

/** The JSON error body of every refusal: `{"error":{"code","status","message","reason"}}`. */
export function errorBody({ error, reason }: Denial): string {
  return `${UP_TO_REASON[error]}${JSON.stringify(reason)}}}`;
}

/** What is the same in every body of a row. */
const UP_TO_REASON = Object.fromEntries(
  Object.entries(ERRORS).map(([name, { code, status, message }]) => [
    name,
    JSON.stringify({ error: { code, status, message, reason: '' } }).slice(0, -'""}}'.length),
  ]),
) as Record<ErrorName, string>;

/**
 * The value of `WWW-Authenticate` for a refusal, or undefined where it has none.
 * One challenge a scheme, each attribute at most once (RFC 6750 §3); the error code stands in the challenge of the
 * scheme that was used, and there is none where the request carried no credential (RFC 6750 §3.1).
 *
 * @param realm the protection space's name (RFC 9110 §11.5)
 */
export function challenge(refused: Denial, realm: string): string | undefined {
  const row: ErrorRow = ERRORS[refused.error];
  if (row.challenge === undefined) return undefined;
  const { dpop, scheme } = refused;
  const name = `realm="${quotable(realm)}"`;
  const reason =
    row.oauth === undefined ? '' : `, error="${row.oauth}", error_description="${quotable(refused.reason)}"`;
  const wanted = attributes(refused);
  if (dpop === undefined) return `Bearer ${name}${reason}${wanted}`;
  const algorithms = `, algs="${quotable(dpop.algorithms)}"`;
  if (scheme === 'DPoP') return `DPoP ${name}${reason}${wanted}${algorithms}`;
  const proof = `DPoP ${name}${wanted}${algorithms}`;
  if (reason !== '') return `Bearer ${name}${reason}${wanted}, ${proof}`;
  return dpop.alone ? proof : `${proof}, Bearer ${name}${wanted}`;
}

/** What the client has to come with, and where it learns how to get it. */
function attributes({ scopes, stepUp, resourceMetadata }: Denial): string {
  const scope = scopes
    ?.map(scopeToken)
    .filter((token) => token !== '')
    .join(' ');
  return (
    (scope === undefined || scope === '' ? '' : `, scope="${scope}"`) +
    (stepUp?.acrValues === undefined ? '' : `, acr_values="${quotable(stepUp.acrValues.join(' '))}"`) +
    (stepUp?.maxAge === undefined ? '' : `, max_age="${stepUp.maxAge}"`) +
    (resourceMetadata === undefined ? '' : `, resource_metadata="${quotable(resourceMetadata)}"`)
  );
}

/** Leaves what RFC 6750 §3 allows in error_description: %x20-21 / %x23-5B / %x5D-7E. */
function quotable(text: string): string {
  return text.replace(/[^\x20-\x21\x23-\x5b\x5d-\x7e]/g, '');
}

/** Leaves what RFC 6750 §3 allows in a scope token: %x21 / %x23-5B / %x5D-7E. */
function scopeToken(text: string): string {
  return text.replace(/[^\x21\x23-\x5b\x5d-\x7e]/g, '');
}
