import type { IncomingMessage } from 'node:http';
import type { Call } from '../../model/outbound.js';
import type { Peer } from '../../parse/peer.js';
import type { AuditEntry, Entrance } from '../audit.js';

/** The trace of one request. */
export interface RequestTrace {
  /** 32 hexadecimal digits (W3C Trace Context §3.2.2.3). */
  readonly traceId: string;
  /**
   * Called before the request is sent upstream.
   *
   * @param origin the upstream, `http://name:port`
   * @param path the path that is sent, with its query, which is not recorded
   * @returns the fields that replace the client's `traceparent` and `tracestate`: name, value, …
   */
  sending(origin: string, path: string): readonly string[];
  /**
   * Called before another service is called because of this request.
   *
   * @returns undefined if the request is not recorded
   */
  calling(purpose: CallPurpose, method: string, url: string): CallSpan | undefined;
  /** Called when the request ends. */
  end(entry: AuditEntry, times: TraceTimes): void;
}

/** What scopegate calls another service for, other than to forward a request. It is the name of the span. */
export type CallPurpose = Call['purpose'] | 'introspection' | 'keys';

/** The span of one call to another service. */
export interface CallSpan {
  /**
   * Called when the response is read, or when the call has failed.
   *
   * @param status the status of the response, if there was one
   * @param failure why the call failed in spite of its status, or without one: the code or the class of an error
   */
  end(status: number | undefined, failure?: string): void;
}

/** The times of a request, in milliseconds of `performance.now()`. */
export interface TraceTimes {
  /** Undefined if the request was refused before a decision. */
  readonly decided: number | undefined;
  /** When the wait for an answer about the token began. Undefined if the request did not wait. */
  readonly introspected: number | undefined;
  readonly ended: number;
  /** The path of the rule as written. Undefined if no rule matched. */
  readonly route: string | undefined;
}

/** Traces requests and exports their spans. */
export interface Tracing {
  /**
   * Begins the trace of a request. scopegate continues the trace of a trusted peer. To the trace of any other
   * peer it only links, because the party that begins a trace decides what is recorded.
   *
   * @param started `performance.now()` at the arrival
   */
  begin(entrance: Entrance, message: IncomingMessage, peer: Peer, started: number): RequestTrace;
  /** Exports the remaining spans and ends. */
  close(): Promise<void>;
}

/** Options of tracing. */
export interface TracingOptions {
  /** The URL that spans are sent to (OTLP/HTTP). */
  readonly endpoint: string;
  /** The share of the traces beginning here that are recorded, 0 to 1. */
  readonly sample: number;
  /** `service.name`. If undefined, OTEL_SERVICE_NAME decides. */
  readonly serviceName?: string;
  /**
   * Called after every export.
   *
   * @param cause why it failed, without header fields and addresses; undefined if it succeeded
   */
  readonly onExport: (spans: number, cause?: string) => void;
}
