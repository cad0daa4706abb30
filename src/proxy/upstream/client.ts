import type { OnReadOpts } from 'node:net';
import type { buildConnector } from 'undici';
import type { PoolState } from '../../model/upstream.js';
import type { Interrupted } from './interrupted.js';
import type { UpstreamRequest } from './request-head.js';
import type { ResponseHead } from './response-head.js';

/** The options of the client of one upstream; times in milliseconds, 0 means no limit. */
export interface UpstreamClientOptions {
  /** `http://name:port` or `https://name:port`. */
  readonly origin: string;
  /** The most connections at once for short exchanges. */
  readonly connections: number;
  /** The most long exchanges at once; their connections are additional. */
  readonly longExchanges: number;
  /** How long a request waits for a connection if all are busy. */
  readonly queueTimeout: number;
  /** The longest pause in a body. */
  readonly idleTimeout: number;
  /** The largest response head, in bytes. */
  readonly maxHeadBytes: number;
  /**
   * Builds the connector, which opens connections.
   *
   * @param onread how sockets read; undefined means as ordinary streams
   */
  readonly connector: (onread?: OnReadOpts) => buildConnector.connector;
}

/** Makes the client of one upstream. */
export type CreateUpstreamClient = (options: UpstreamClientOptions) => UpstreamClient;

/** Sends requests to one upstream. This interface is all that the forwarder knows of the HTTP client. */
export interface UpstreamClient {
  /**
   * Sends a request as soon as a connection is free, and reports every result to the reader.
   *
   * @param long whether the exchange is long from the start
   * @throws UnsendableRequest if the request cannot be written safely, because it would be read as another
   *   one
   * @throws Interrupted if the exchange is long and there is no room for it, or the client is closed
   */
  dispatch(request: UpstreamRequest, reader: ResponseReader, long?: boolean): void;
  /** The current state of its connections. */
  readonly state: PoolState;
  /** Closes every connection and ends the exchanges on them. */
  close(): void;
}

/** The connection of a request, for as long as its exchange lasts. */
export interface UpstreamConnection {
  /** Closes the connection and ends the current exchange. */
  abort(error: Error): void;
  /** Continues after a reader has asked for a pause. */
  resume(): void;
}

/**
 * Receives the response to one request, by calls in the order below. An error ends the sequence at any point.
 */
export interface ResponseReader {
  /**
   * The request must wait for a free connection.
   *
   * @param timeout the longest wait in milliseconds; 0 means no limit
   */
  onWait(waiting: Waiting, timeout: number): void;
  /** The request is about to be sent. */
  onStart(connection: UpstreamConnection): void;
  /** The head of 103 Early Hints (RFC 8297), before that of the final response. */
  onEarlyHints(head: ResponseHead): void;
  /** The head of the final response. */
  onHead(head: ResponseHead): void;
  /**
   * The exchange is about to become a long one.
   *
   * @returns false if its client has too many long exchanges already
   */
  mayLast(): boolean;
  /** The exchange is now a long one and no longer counts among the short ones. */
  onLong(): void;
  /**
   * A piece of the body. Its bytes are overwritten as soon as this method returns.
   *
   * @returns false to get no more until {@link UpstreamConnection.resume}
   */
  onData(piece: Buffer): boolean;
  /** @param trailers name, value, name, value … */
  onEnd(trailers: readonly string[]): void;
  onError(error: Error): void;
}

/** A request that waits for a connection. */
export interface Waiting {
  /** Cancels the request, because its response is no longer needed. */
  cancel(): void;
  /**
   * Reports that the request has waited too long.
   *
   * @returns the error that ends it
   */
  late(): Interrupted;
}
