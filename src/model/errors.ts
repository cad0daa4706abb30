/**
 * One error response of scopegate. The client gets only these values and the `reason`. Internal detail
 * (addresses, library messages, stack traces) goes to the log, never into a response.
 */
export interface ErrorRow {
  /** HTTP status code. */
  readonly code: number;
  /** The registered phrase of the status (RFC 9110 §15). */
  readonly status: string;
  /** One sentence for people. */
  readonly message: string;
  /** The error code of the challenge, if it has one (RFC 6750 §3.1, RFC 9449 §12.2, RFC 9470 §3). */
  readonly oauth?:
    | 'invalid_request'
    | 'invalid_token'
    | 'insufficient_scope'
    | 'insufficient_user_authentication'
    | 'invalid_dpop_proof'
    | 'use_dpop_nonce';
  /** Whether the response carries `WWW-Authenticate`. */
  readonly challenge?: true;
  /**
   * Whether scopegate closes the connection afterwards, because it cannot know where the next request begins
   * (RFC 9112 §9.6, §11.2).
   */
  readonly close?: true;
}

/** Every error response. The keys are stable: logs, metrics and tests use them. */
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
    message: 'This gateway does not support the expectation in the Expect field',
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
    message: 'This gateway does not serve this method',
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
    message: 'The rule for this resource denies every request',
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
    message: 'The request has no valid proof of possession of the key that the token is bound to',
    oauth: 'invalid_dpop_proof',
    challenge: true,
  },
  use_dpop_nonce: {
    code: 401,
    status: 'Unauthorized',
    message: 'The DPoP proof must contain a nonce from this gateway',
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
    message: 'The user must log in again, or with a stronger method',
    oauth: 'insufficient_user_authentication',
    challenge: true,
  },
  access_denied: {
    code: 403,
    status: 'Forbidden',
    message: 'The token is valid but gives no access to this resource',
  },
  too_many_bad_tokens: {
    code: 429,
    status: 'Too Many Requests',
    message: 'This client has sent too many invalid tokens',
  },
  too_many_requests: {
    code: 429,
    status: 'Too Many Requests',
    message: 'This client has too many requests in flight',
  },
  authorizer_unavailable: {
    code: 503,
    status: 'Service Unavailable',
    message: 'The gateway cannot ask the authorizer at the moment',
  },
  authorization_server_unavailable: {
    code: 503,
    status: 'Service Unavailable',
    message: 'The gateway cannot check the token at the moment',
  },
  overloaded: {
    code: 503,
    status: 'Service Unavailable',
    message: 'The gateway is overloaded or shutting down',
  },
  upstream_unreachable: {
    code: 502,
    status: 'Bad Gateway',
    message: 'The gateway cannot reach the upstream',
  },
  upstream_invalid: {
    code: 502,
    status: 'Bad Gateway',
    message: 'The upstream sent an invalid response',
  },
  upstream_timeout: {
    code: 504,
    status: 'Gateway Timeout',
    message: 'The upstream did not respond in time',
  },
  loop_detected: {
    code: 508,
    status: 'Loop Detected',
    message: 'The request has passed through this gateway before',
  },
  internal: {
    code: 500,
    status: 'Internal Server Error',
    message: 'The gateway failed to handle the request',
    close: true,
  },
} as const satisfies Record<string, ErrorRow>;

/** The stable name of a row. */
export type ErrorName = keyof typeof ERRORS;

/** What a client must know to use DPoP. */
export interface DpopChallenge {
  /** Signature algorithms, separated by spaces. */
  readonly algorithms: string;
  /** Whether the rule accepts DPoP only, so that the challenge does not offer Bearer. */
  readonly alone: boolean;
}

/** The login that a rule requires. */
export interface StepUp {
  /** Authentication context classes (`acr_values`), the preferred one first. */
  readonly acrValues?: readonly string[];
  /** The oldest login that is accepted, in seconds. */
  readonly maxAge?: number;
}

/** How a rule's error handler presents a refusal to the client, in addition to the error body. */
export interface ErrorAnswer {
  /** The status, in place of the row's. */
  readonly code: number;
  /** Where the client is sent (RFC 9110 §10.2.2). */
  readonly location?: string;
  /** The value of `WWW-Authenticate`, in place of the row's challenge. */
  readonly authenticate?: string;
  /** The whole response of an external authorizer, in place of the error body: name, value, name, value … */
  readonly fields?: readonly string[];
  readonly body?: string;
}

/** A refusal: a row of the table, and what is specific to this request. */
export interface Denial {
  readonly error: ErrorName;
  /**
   * Why the request is refused. The client sees it: it never contains a token, an address or a library's
   * message.
   */
  readonly reason: string;
  /** The required scopes, for the `scope` attribute of the challenge (RFC 6750 §3). */
  readonly scopes?: readonly string[];
  /** How the user must log in (RFC 9470 §3). */
  readonly stepUp?: StepUp;
  /** How the client can use DPoP, for the challenge (RFC 9449 §7.1). */
  readonly dpop?: DpopChallenge;
  /** The scheme of the refused credential, if it is not Bearer. */
  readonly scheme?: 'DPoP';
  /** The nonce for the client's next proof, for `DPoP-Nonce` (RFC 9449 §9). */
  readonly nonce?: string;
  /**
   * The URL of the resource's metadata, for the `resource_metadata` attribute of the challenge (RFC 9728
   * §5.1).
   */
  readonly resourceMetadata?: string;
  /** Seconds that the client should wait, for `Retry-After` (RFC 9110 §10.2.3). */
  readonly retryAfter?: number;
  /** What failed, for the audit line: a code, or a few words. Never for the client. */
  readonly cause?: string;
  /** The response of the rule's error handler. If undefined, the row itself is the response. */
  readonly answer?: ErrorAnswer;
}

/**
 * Builds a refusal.
 *
 * @param error the row of the table
 * @param reason why, in words that the client may see
 * @param more the other fields of the refusal
 */
export function denial(error: ErrorName, reason: string, more?: Omit<Denial, 'error' | 'reason'>): Denial {
  return { error, reason, ...more };
}

/** Whether scopegate closes the connection after a refusal, as its row says. */
export function closesConnection({ error }: Denial): boolean {
  const row: ErrorRow = ERRORS[error];
  return row.close === true;
}

/** The response to a request that scopegate failed to handle. */
export const GATEWAY_FAILED: Denial = denial('internal', 'the gateway failed');

/** The JSON error body of every refusal: `{"error":{"code","status","message","reason"}}`. */
export function errorBody({ error, reason }: Denial): string {
  return `${UP_TO_REASON[error]}${JSON.stringify(reason)}}}`;
}

/** The part of the body before the reason. It is the same for all bodies of a row, so it is built once. */
const UP_TO_REASON = Object.fromEntries(
  Object.entries(ERRORS).map(([name, { code, status, message }]) => [
    name,
    JSON.stringify({ error: { code, status, message, reason: '' } }).slice(0, -'""}}'.length),
  ]),
) as Record<ErrorName, string>;

/**
 * Builds the value of `WWW-Authenticate` for a refusal: one challenge for each scheme, each attribute at most
 * once (RFC 6750 §3). The error code is in the challenge of the scheme that the client used. Without a
 * credential in the request there is no error code (RFC 6750 §3.1).
 *
 * @param realm the name of the protection space (RFC 9110 §11.5)
 * @returns undefined if the row has no challenge
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

/** The attributes that tell the client what it needs: scopes, login, and where the resource's metadata is. */
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

/** Removes what RFC 6750 §3 does not allow in error_description: it allows %x20-21 / %x23-5B / %x5D-7E. */
function quotable(text: string): string {
  return text.replace(/[^\x20-\x21\x23-\x5b\x5d-\x7e]/g, '');
}

/** Removes what RFC 6750 §3 does not allow in a scope token: it allows %x21 / %x23-5B / %x5D-7E. */
function scopeToken(text: string): string {
  return text.replace(/[^\x21\x23-\x5b\x5d-\x7e]/g, '');
}
