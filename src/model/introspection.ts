import type { Fields } from '../parse/fields.js';
import type { Peer } from '../parse/peer.js';
import type { Endpoint } from './authorization-server.js';

/** The authorization server's answer about a token (RFC 7662 §2.2). */
export type Answer = InactiveAnswer | ActiveAnswer;

/** `{"active": false}`. Other members mean nothing (RFC 7662 §2.2). */
export interface InactiveAnswer {
  readonly active: false;
}

/**
 * What the server says about an active token. Values are brought into one form; their meaning is unchanged.
 */
export interface ActiveAnswer {
  readonly active: true;
  /** Every member of the answer, as the server sent it. */
  readonly claims: Readonly<Record<string, unknown>>;
  readonly scopes: readonly string[];
  readonly audience: readonly string[];
  /** `exp`, seconds since 1970. */
  readonly expiresAt?: number | undefined;
  /** `nbf`, seconds since 1970. */
  readonly notBefore?: number | undefined;
  readonly issuer?: string | undefined;
  readonly subject?: string | undefined;
  readonly clientId?: string | undefined;
}

/** Where the answer for one request came from and how long it took, for the audit line. */
export interface IntrospectionTrace {
  readonly from: 'hit' | 'shared' | 'miss' | 'coalesced' | 'stale' | 'failed' | 'limited';
  /** How long the request waited for the answer, in milliseconds; 0 for a hit. */
  readonly ms: number;
  /** When the wait began, in monotonic milliseconds; undefined for a hit. */
  readonly since?: number;
}

/** The answer, or why there is none. A failure is a value: nothing here throws or rejects. */
export type Introspected =
  | { readonly ok: true; readonly answer: Answer; readonly trace: IntrospectionTrace }
  | {
      readonly ok: false;
      /** What failed. For the log, never for the client. */
      readonly cause: string;
      /** The same as one word, for the audit line. */
      readonly code?: string;
      /** Seconds that the client should wait, for `Retry-After`. */
      readonly retryAfter: number;
      /**
       * scopegate asked no server, because the client has sent too many unknown tokens that are not active.
       */
      readonly limited?: true;
      readonly trace: IntrospectionTrace;
    };

/** Gets answers about tokens: from the cache, from a call in flight, or from the authorization server. */
export interface Introspector {
  /**
   * Gets the answer about one token. Synchronous on a cache hit, so that the most frequent path creates no
   * promise.
   *
   * @param asker the request; without it, the rate limit of unknown tokens does not apply
   */
  introspect(endpoint: Endpoint, token: string, asker?: Asker): Introspected | Promise<Introspected>;
  /**
   * Gets an expired answer, for a rule that may use it while the authorization server fails (RFC 5861 §4). It
   * is returned only if the token itself has not expired.
   *
   * @param within milliseconds for which the answer may be used after its cache entry expired
   * @returns undefined if there is no such answer
   */
  stale?(endpoint: Endpoint, token: string, within: number): ActiveAnswer | undefined;
}

/** The request whose token is introspected; the rate limit of unknown tokens counts by its client. */
export interface Asker {
  readonly peer?: Peer | undefined;
  readonly fields: Fields;
}

/** The state of one authorization server, for metrics and the admin page. */
export interface ServerState {
  readonly url: string;
  readonly breaker: 'closed' | 'open' | 'half-open';
  /** Calls in flight. */
  readonly running: number;
  /** Requests that wait for the semaphore before they make a call. */
  readonly waiting: number;
}

/**
 * Refreshes of answers in use before they expire, by result. The server said active or inactive; the call
 * failed; another gateway had a newer answer (shared); or scopegate skipped the call to spare the server
 * (skipped).
 */
export type Refreshes = Record<'active' | 'inactive' | 'failed' | 'shared' | 'skipped', number>;

/** What an authorization server's readiness URL said; absent: the server does not serve it. */
export type ReadinessState = 'ready' | 'not_ready' | 'absent';

/**
 * What an observed revocation invalidated: the answers about its token, about all tokens of the client, all
 * answers, or none, because the form has no token. Delayed: the same was invalidated less than a second ago, so
 * it happens when that second is over.
 */
export type RevocationEffect = 'token' | 'client' | 'client_delayed' | 'all' | 'all_delayed' | 'none';
