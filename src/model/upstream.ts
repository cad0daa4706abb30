import type { ErrorName } from './errors.js';
import type { RevocationEffect } from './introspection.js';

/** Where a rule's requests go. */
export interface Upstream {
  /** `http://name:port` or `https://name:port`; no path. */
  readonly origin: string;
  /** The Host field that the upstream gets: its own authority. */
  readonly authority: string;
}

/** The state of one connection pool, for metrics. */
export interface PoolState {
  readonly origin: string;
  /** Open connections. */
  readonly open: number;
  /** Connections with a short exchange. */
  readonly busy: number;
  /** Connections with a long exchange (event stream, WebSocket, large upload). */
  readonly long: number;
  /** Requests that wait for a connection. */
  readonly waiting: number;
  /**
   * Since the start: requests that got no connection in time, and long exchanges refused because there were
   * too many.
   */
  readonly turnedAway: number;
}

/** How one exchange with an upstream ended. */
export interface ExchangeResult {
  /** The status that the client got; 0 if it closed the connection first. */
  readonly status: number;
  /** The status that the upstream sent, if it sent one. */
  readonly upstreamStatus?: number | undefined;
  /** Milliseconds until the upstream's response began. */
  readonly upstreamMs?: number | undefined;
  /** The row of the error table, if scopegate responded instead of the upstream. */
  readonly error?: ErrorName | undefined;
  /** What failed, for the log: a code, never a library's message. */
  readonly cause?: string | undefined;
  /** Which cached answers were removed because of it, if it was a token revocation that succeeded. */
  readonly revocation?: RevocationEffect | undefined;
}
