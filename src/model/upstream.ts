import type { ErrorName } from './errors.js';

/** Where a rule's requests go. */
export interface Upstream {
  /** `http://name:port` or `https://name:port`; no path. */
  readonly origin: string;
  /** What the upstream gets as Host: its own authority. */
  readonly authority: string;
}

/** What a pool is doing, for metrics. */
export interface PoolState {
  readonly origin: string;
  /** Connections that are open. */
  readonly open: number;
  /** Connections with an exchange that should soon be over. */
  readonly busy: number;
  /** Connections with an exchange that lasts. */
  readonly long: number;
  /** Requests that wait for a connection. */
  readonly waiting: number;
  /** Requests that got none in time, and exchanges that lasted and had no room, since the start. */
  readonly turnedAway: number;
}

/** How one exchange with an upstream ended. */
export interface ExchangeResult {
  /** What the client was told; 0 when it left before it was told anything. */
  readonly status: number;
  /** What the upstream said, if it said anything. */
  readonly upstreamStatus?: number | undefined;
  /** Milliseconds until the upstream's answer began. */
  readonly upstreamMs?: number | undefined;
  /** The row of the error table, where the gateway answered instead of the upstream. */
  readonly error?: ErrorName | undefined;
  /** Why it did not end well, for the log: a code, never a message of a library. */
  readonly cause?: string | undefined;
}
