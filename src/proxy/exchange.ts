import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ErrorName } from '../model/errors.js';
import { LAST_STATUS, RESET_CONTENT, SWITCHING_PROTOCOLS } from '../model/statuses.js';
import type { ExchangeResult } from '../model/upstream.js';
import { causeOf } from '../observe/redaction.js';
import type { OnFault } from '../observe/request-record.js';
import { isStream } from '../parse/parsed-request.js';
import { passEarlyHints } from './early-hints.js';
import { type ErrorFor, errorFor, FAILURES, FAULT, HEAD_REFUSED, isFault } from './exchange-errors.js';
import type { InFlightRecord } from './in-flight.js';
import { breakOff, drain, refuse, refuseOrBreakOff } from './refusal.js';
import type { RequestBody } from './request-body.js';
import { type ClientFields, type Overlay, responseFields, trailerFields } from './response-headers.js';
import { endInOneWrite } from './single-write.js';
import type { ResponseReader, UpstreamConnection, Waiting } from './upstream/client.js';
import { Deadline } from './upstream/deadline.js';
import { CLIENT_CLOSED, Interrupted } from './upstream/interrupted.js';
import { hasNoBody } from './upstream/response-body.js';
import type { ResponseHead } from './upstream/response-head.js';

/** Bodies of up to this many bytes are sent in one write with the head. */
const SINGLE_WRITE = 16_384;

/** The parts of one exchange. */
export interface ExchangeOptions {
  readonly message: IncomingMessage;
  readonly response: ServerResponse;
  /** Undefined if the request has no body. */
  readonly requestBody: RequestBody | undefined;
  readonly realm: string;
  /** How long a client may leave the response unread, in milliseconds; 0 means no limit. */
  readonly stallTimeout: number;
  /** The fields that scopegate itself sets in the response. */
  readonly overlay: Overlay;
  /** The record of the request. It stops counting the request as in flight if the exchange is long. */
  readonly record: InFlightRecord;
  /** Called for each exception. */
  readonly onFault: OnFault;
  /** Called exactly once, when the exchange is over. */
  readonly done: (result: ExchangeResult) => void;
}

/**
 * One request to the upstream, from dispatch to the last byte. It reads from the upstream connection and
 * writes to Node's response, with back-pressure both ways. If the client disconnects, the upstream request is
 * cancelled at once. If the upstream ends in the middle of a response, the client's response is broken off
 * too, so that it never looks complete (RFC 9112 §8).
 *
 * Every method that the event loop calls catches all exceptions: an exception ends this exchange and affects
 * no other.
 */
export class Exchange implements ResponseReader {
  readonly #message: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #requestBody: RequestBody | undefined;
  readonly #realm: string;
  readonly #stallTimeout: number;
  readonly #overlay: Overlay;
  readonly #record: InFlightRecord;
  readonly #onFault: OnFault;
  readonly #done: (result: ExchangeResult) => void;
  readonly #started = performance.now();

  /** Set while the request waits for a connection. */
  #waiting: Waiting | undefined;
  /** Set while the exchange has a connection. */
  #connection: UpstreamConnection | undefined;
  /** The current time limit: for a free connection, or for a client that does not read. Rarely used. */
  #deadline: Deadline | undefined;
  #trailers: readonly string[] = [];
  /** The head of the response until it is written. Until then the client can still get an error response. */
  #head: ClientFields | undefined;
  #upstreamStatus: number | undefined;
  #upstreamMs: number | undefined;
  /** Whether the response waits for the client to read. */
  #draining = false;
  #gone = false;
  #settled = false;

  constructor(options: ExchangeOptions) {
    const { message, response, requestBody, realm, stallTimeout, overlay, record, onFault, done } = options;
    this.#message = message;
    this.#response = response;
    this.#requestBody = requestBody;
    this.#realm = realm;
    this.#stallTimeout = stallTimeout;
    this.#overlay = overlay;
    this.#record = record;
    this.#onFault = onFault;
    this.#done = done;
    response.on('close', this.#onClose);
    requestBody?.on('error', (error) => this.#end(error));
  }

  /** Whether the exchange is over. */
  get settled(): boolean {
    return this.#settled;
  }

  onWait(waiting: Waiting, timeout: number): void {
    this.#connection = undefined;
    this.#waiting = waiting;
    this.#allow(timeout);
  }

  mayLast(): boolean {
    return this.#record.joinLong();
  }

  onLong(): void {
    this.#record.leaveInFlight();
  }

  onStart(connection: UpstreamConnection): void {
    this.#deadline?.wait(0);
    this.#waiting = undefined;
    this.#connection = connection;
  }

  onEarlyHints({ fields }: ResponseHead): void {
    passEarlyHints(this.#message, this.#response, fields);
  }

  onHead(head: ResponseHead): void {
    try {
      this.#upstreamStatus = head.status;
      this.#upstreamMs = performance.now() - this.#started;
      this.#head = responseFields(head, this.#overlay);
      // If the first bytes of the body are in the same packet, the head is sent together with them. Otherwise
      // the head of a stream is sent at once, because the client of an event stream waits for it. The head of
      // a response with known length waits for the body.
      if (this.#head.length === undefined) process.nextTick(flushHead, this);
    } catch (error) {
      this.#fault('answer head', error);
    }
  }

  /** Sends the head if it was not sent with the body. */
  flushHead(): void {
    try {
      if (this.#settled || !this.#writeHead()) return;
      const bodiless = hasNoBody(this.#message.method ?? '', this.#response.statusCode);
      // `flushHeaders` writes HTTP/1.1 fields as UTF-8, which turns each non-ASCII byte into two. Node ignores a write to a
      // response without a body, which ends at once in any case.
      if (bodiless || isStream(this.#message)) this.#response.flushHeaders();
      else this.#response.write('', 'latin1');
    } catch (error) {
      this.#fault('flush of the answer head', error);
    }
  }

  onData(chunk: Buffer): boolean {
    try {
      return this.#take(chunk);
    } catch (error) {
      this.#fault('answer body', error);
      return true;
    }
  }

  /** @returns false if the upstream must wait for the client */
  #take(chunk: Buffer): boolean {
    const response = this.#response;
    const head = this.#head;
    if (this.#upstreamStatus === RESET_CONTENT) return true;
    if (head !== undefined) {
      if (!this.#writeHead()) return true;
      if (chunk.length === head.length && chunk.length <= SINGLE_WRITE) {
        endInOneWrite(response, chunk.toString('latin1'));
        return true;
      }
    }
    // Copy the bytes: the upstream connection reuses the buffer, and Node writes only when the client reads.
    if (response.writableEnded || response.write(Buffer.from(chunk))) return true;
    // Pieces that were read before the pause may still arrive.
    if (this.#draining) return false;
    this.#draining = true;
    response.once('drain', () => this.#onDrain());
    this.#allow(this.#stallTimeout);
    return false;
  }

  onEnd(raw: readonly string[]): void {
    this.#connection = undefined;
    try {
      this.#finish(raw);
    } catch (error) {
      this.#fault('end of the answer', error);
    }
  }

  #finish(raw: readonly string[]): void {
    const response = this.#response;
    if (this.#head !== undefined && !this.#writeHead()) return;
    if (!response.writableEnded) {
      if (this.#trailers.length > 0 && raw.length > 0) {
        addTrailers(response, trailerFields(raw, this.#trailers));
      }
      response.end();
    }
    if (this.#requestBody !== undefined) {
      // The upstream may have responded before it read the whole body. The rest of the body is discarded.
      this.#requestBody.destroy();
      drain(this.#message);
    }
    this.#settle(response.statusCode);
  }

  /** The client has received 101 with the upstream's fields, so its connection no longer speaks HTTP. */
  onUpgrade(): void {
    this.#connection = undefined;
    this.#response.off('close', this.#onClose);
    this.#upstreamStatus = SWITCHING_PROTOCOLS;
    this.#upstreamMs = performance.now() - this.#started;
    try {
      this.#settle(SWITCHING_PROTOCOLS);
    } catch (error) {
      this.#onFault('account of a WebSocket handshake', error);
    }
  }

  onError(error: Error): void {
    this.#connection = undefined;
    try {
      this.#fail(error);
    } catch (fault) {
      this.#fault('failed exchange', fault);
    }
  }

  #fail(error: Error): void {
    if (this.#settled) return;
    if (isFault(error)) {
      this.#fault('upstream connection', error);
      return;
    }
    const response = this.#response;
    // Destroy the body before `refuse`, which reads the rest of the message itself.
    this.#requestBody?.destroy();
    const cause = causeOf(error);
    if (this.#gone || cause === CLIENT_CLOSED || wasReset(this.#message)) {
      this.#settle(response.headersSent ? response.statusCode : 0, CLIENT_CLOSED);
    } else if (!response.headersSent) {
      const name = errorFor(error, cause);
      const status = refuse(this.#message, response, FAILURES[name], this.#realm, this.#overlay.cors);
      this.#settle(status, cause, name);
    } else if (response.writableEnded) {
      this.#settle(response.statusCode);
    } else {
      breakOff(this.#message, response);
      this.#settle(response.statusCode, cause);
    }
  }

  /**
   * Writes the head if it is not written yet.
   *
   * @returns false if Node refuses the head; the exchange is then over
   */
  #writeHead(): boolean {
    const head = this.#head;
    if (head === undefined) return true;
    this.#head = undefined;
    const status = this.#upstreamStatus as number;
    const { fields, trailers } = head;
    if (
      trailers.length > 0 &&
      this.#message.httpVersion !== '1.0' &&
      !hasNoBody(this.#message.method ?? '', status)
    ) {
      this.#trailers = trailers;
      fields.push('trailer', trailers.join(', '));
    }
    try {
      if (status <= LAST_STATUS || !isStream(this.#message)) {
        this.#response.writeHead(status, fields);
        return true;
      }
      this.#giveUp('upstream_invalid', HEAD_REFUSED);
      return false;
    } catch (error) {
      this.#onFault('answer head', error);
      this.#giveUp('upstream_invalid', HEAD_REFUSED);
      return false;
    }
  }

  readonly #onClose = (): void => {
    const response = this.#response;
    // If the client has reset an HTTP/2 stream, Node reports the response as finished, so `writableFinished`
    // cannot be used.
    if (isStream(this.#message) ? response.writableEnded : response.writableFinished) return;
    this.#gone = true;
    this.#end(new Interrupted(CLIENT_CLOSED));
  };

  /** Ends this exchange because of an exception in one of the methods above. */
  #fault(place: string, error: unknown): void {
    this.#onFault(place, error);
    this.#giveUp('internal', FAULT);
  }

  /** Ends the exchange with an error response or, once the head is sent, by breaking off. Never throws. */
  #giveUp(name: ErrorFor, cause: string): void {
    const connection = this.#connection;
    this.#connection = undefined;
    this.#head = undefined;
    this.#waiting?.cancel();
    if (!this.#settled) {
      const status = refuseOrBreakOff(this.#message, this.#response, FAILURES[name], this.#realm);
      try {
        this.#settle(status, cause, name);
      } catch (error) {
        this.#onFault('account of an exchange', error);
      }
    }
    this.#requestBody?.destroy();
    connection?.abort(new Interrupted(cause));
  }

  /** Ends the exchange from the client's side, in any state. */
  #end(error: Error): void {
    this.#waiting?.cancel();
    if (this.#connection === undefined) this.onError(error);
    else this.#connection.abort(error);
  }

  /** @param ms the longest wait in milliseconds; 0 means no limit */
  #allow(ms: number): void {
    this.#deadline ??= new Deadline(() =>
      this.#end(this.#waiting?.late() ?? new Interrupted('client_stalled')),
    );
    this.#deadline.wait(ms);
  }

  #onDrain(): void {
    this.#draining = false;
    this.#deadline?.wait(0);
    this.#connection?.resume();
  }

  #settle(status: number, cause?: string, error?: ErrorName): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#deadline?.end();
    this.#done({ status, upstreamStatus: this.#upstreamStatus, upstreamMs: this.#upstreamMs, error, cause });
  }
}

function flushHead(exchange: Exchange): void {
  exchange.flushHead();
}

/** Whether the client cancelled its request. In HTTP/2 this is known before the response closes. */
function wasReset(message: IncomingMessage): boolean {
  return isStream(message) && message.stream.aborted;
}

/** Adds trailer fields. An HTTP/2 response accepts them only as an object. */
function addTrailers(response: ServerResponse, trailers: [string, string][]): void {
  if ('stream' in response) response.addTrailers(Object.fromEntries(trailers));
  else response.addTrailers(trailers);
}
