import type { Fields } from '../parse/fields.js';
import type { Peer } from '../parse/peer.js';
import type { Endpoint } from './authorization-server.js';

/** The authorization server's answer about a token, as it was given (RFC 7662 §2.2). */
export type Answer = InactiveAnswer | ActiveAnswer;

/** `{"active": false}`; any other member is meaningless (RFC 7662 §2.2). */
export interface InactiveAnswer {
  readonly active: false;
}

/** An active token's metadata: shapes unified, meaning untouched. */
export interface ActiveAnswer {
  readonly active: true;
  /** Every member as it came. */
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

/** How the introspection of one request went, for the audit line. */
export interface IntrospectionTrace {
  readonly from: 'hit' | 'shared' | 'miss' | 'coalesced' | 'stale' | 'failed' | 'limited';
  /** Milliseconds waited; 0 for a hit. */
  readonly ms: number;
  /** When the wait began, in monotonic milliseconds; undefined for a hit. */
  readonly since?: number;
}

/** An introspection's result, or why there is none. Trouble is a value: nothing here throws or rejects. */
export type Introspected =
  | { readonly ok: true; readonly answer: Answer; readonly trace: IntrospectionTrace }
  | {
      readonly ok: false;
      /** For the log, never for the client. */
      readonly cause: string;
      /** Seconds, for `Retry-After`. */
      readonly retryAfter: number;
      /** Nobody was asked, because the client has sent too many tokens that are none. */
      readonly limited?: true;
      readonly trace: IntrospectionTrace;
    };

/** Answers about tokens: from the cache, from a call already in flight, or from the authorization server. */
export interface Introspector {
  /** Synchronous on a hit, so that the hot path makes no promise. */
  introspect(endpoint: Endpoint, token: string, asker?: Asker): Introspected | Promise<Introspected>;
  /**
   * What was known of a token until lately, for a rule that goes on with it while the server gives no answer
   * (RFC 5861 §4): only where the token itself has not expired.
   *
   * @param within milliseconds since the answer's life in the cache ended
   */
  stale?(endpoint: Endpoint, token: string, within: number): ActiveAnswer | undefined;
}

/** The request that asks about a token. */
export interface Asker {
  readonly peer?: Peer | undefined;
  readonly fields: Fields;
}

/** One authorization server as metrics and the admin page show it. */
export interface ServerState {
  readonly url: string;
  readonly breaker: 'closed' | 'open' | 'half-open';
  /** Calls in flight. */
  readonly running: number;
  /** Requests that wait to be allowed to call. */
  readonly waiting: number;
}

/**
 * What became of answers that were due to be asked for again before their end: the server said active or inactive, it
 * gave no answer, another gateway had a newer one (shared), or there was no room for the call (skipped).
 */
export type Refreshes = Record<'active' | 'inactive' | 'failed' | 'shared' | 'skipped', number>;
