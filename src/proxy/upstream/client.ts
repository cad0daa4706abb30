import type { OnReadOpts } from 'node:net';
import type { buildConnector } from 'undici';
import type { PoolState } from '../../model/upstream.js';
import type { Interrupted } from './interrupted.js';
import type { UpstreamRequest } from './request-head.js';
import type { ResponseHead } from './response-head.js';

/** What the client of one upstream is made of; times in milliseconds, 0 for no limit. */
export interface UpstreamClientOptions {
  /** `http://name:port` or `https://name:port`. */
  readonly origin: string;
  /** The most connections at once for exchanges that are soon over. */
  readonly connections: number;
  /** The most exchanges at once that last; they have connections beside those. */
  readonly longExchanges: number;
  /** How long a request waits for a connection while all are busy. */
  readonly queueTimeout: number;
  /** The longest pause in a body. */
  readonly idleTimeout: number;
  /** The largest head of an answer, in bytes. */
  readonly maxHeadBytes: number;
  /**
   * Builds what opens connections.
   *
   * @param onread how their sockets read; undefined as streams do
   */
  readonly connector: (onread?: OnReadOpts) => buildConnector.connector;
}

/** Makes the client of one upstream. */
export type CreateUpstreamClient = (options: UpstreamClientOptions) => UpstreamClient;

/** Sends requests to one upstream. What forwards a request knows no more of the HTTP client than this. */
export interface UpstreamClient {
  /**
   * Sends a request as soon as a connection is free, and tells the reader of all that becomes of it.
   *
   * @param long whether it lasts from the beginning
   * @throws UnsendableRequest where it cannot be written without becoming another one
   * @throws Interrupted where it lasts and there is no room for it, or the client is closed
   */
  dispatch(request: UpstreamRequest, reader: ResponseReader, long?: boolean): void;
  /** What it is doing now. */
  readonly state: PoolState;
  /** Ends every connection, and what is under way on it. */
  close(): void;
}

/** The connection on which a request was sent, as long as its exchange lasts. */
export interface UpstreamConnection {
  /** Ends the connection, and the exchange that is going on. */
  abort(error: Error): void;
  /** Goes on after a reader has asked for a pause. */
  resume(): void;
}

/** Is told of one request's answer, in this order; of an error in place of all that has not come yet. */
export interface ResponseReader {
  /**
   * The request has to wait for a free connection.
   *
   * @param timeout milliseconds that it may wait; 0 for no limit
   */
  onWait(waiting: Waiting, timeout: number): void;
  /** The request is about to be sent. */
  onStart(connection: UpstreamConnection): void;
  /** The head of 103 Early Hints (RFC 8297), before that of the final answer. */
  onEarlyHints(head: ResponseHead): void;
  /** The head of the final answer. */
  onHead(head: ResponseHead): void;
  /** The exchange is about to last. @returns false where its client has as many of these as it may have */
  mayLast(): boolean;
  /** The exchange lasts, and is no more counted among those that are soon over. */
  onLong(): void;
  /**
   * A piece of the body; its bytes are overwritten as soon as this returns.
   *
   * @returns false to have no more of it until {@link UpstreamConnection.resume}
   */
  onData(piece: Buffer): boolean;
  /** @param trailers name, value, name, value … */
  onEnd(trailers: readonly string[]): void;
  onError(error: Error): void;
}

/** A request that waits for a connection. */
export interface Waiting {
  /** Nobody wants its answer any more. */
  cancel(): void;
  /** It has waited as long as it may. @returns why it ends */
  late(): Interrupted;
}
