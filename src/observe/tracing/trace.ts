import type { IncomingMessage } from 'node:http';
import type { Peer } from '../../parse/peer.js';
import type { AuditEntry, Entrance } from '../audit.js';

/** One request's part of a distributed trace. */
export interface RequestTrace {
  /** 32 hexadecimal digits (W3C Trace Context §3.2.2.3). */
  readonly traceId: string;
  /**
   * The request is about to go upstream.
   *
   * @param origin where it goes, `http://name:port`
   * @returns the fields that take the place of the client's `traceparent` and `tracestate`: name, value, …
   */
  sending(origin: string): readonly string[];
  /** The request is over. */
  end(entry: AuditEntry, times: TraceTimes): void;
}

/** When what happened, in milliseconds as `performance.now()` has them. */
export interface TraceTimes {
  /** Undefined where the request was refused before a decision. */
  readonly decided: number | undefined;
  /** When the wait for an answer about the token began; undefined where nobody waited. */
  readonly introspected: number | undefined;
  readonly ended: number;
  /** The path of the rule as it is written; undefined where none matched. */
  readonly route: string | undefined;
}

/** Traces requests and exports what becomes of them. */
export interface Tracing {
  /**
   * A request has arrived. A trusted peer's trace is continued; anybody else's is only linked to, because whoever
   * begins a trace decides what is recorded.
   *
   * @param started `performance.now()`
   */
  begin(entrance: Entrance, message: IncomingMessage, peer: Peer, started: number): RequestTrace;
  /** Exports what is left, and ends. */
  close(): Promise<void>;
}

/** How traces are made. */
export interface TracingOptions {
  /** The URL spans are posted to (OTLP/HTTP). */
  readonly endpoint: string;
  /** The share of traces that begin here and are recorded, 0 to 1. */
  readonly sample: number;
  /** `service.name`; undefined leaves it to OTEL_SERVICE_NAME. */
  readonly serviceName?: string;
  /** Told of every export; the cause holds no header field and no address. */
  readonly onExport: (spans: number, cause?: string) => void;
}
