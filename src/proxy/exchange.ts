import type { IncomingMessage, ServerResponse } from 'node:http';
import { denial, type ErrorName } from '../model/errors.js';
import type { ExchangeResult } from '../model/upstream.js';
import { causeOf } from '../observe/redaction.js';
import type { OnFault } from '../observe/request-record.js';
import { isStream } from '../parse/parsed-request.js';
import { type ErrorFor, errorFor, FAULT, HEAD_REFUSED, isFault, REASONS, RETRY } from './exchange-errors.js';
import { breakOff, drain, refuse, refuseOrBreakOff } from './refusal.js';
import type { RequestBody } from './request-body.js';
import { type ClientFields, type Overlay, responseFields, trailerFields } from './response-headers.js';
import type { ResponseReader, UpstreamConnection, Waiting } from './upstream/client.js';
import { Deadline } from './upstream/deadline.js';
import { Interrupted } from './upstream/interrupted.js';
import { hasNoBody } from './upstream/response-body.js';
import type { ResponseHead } from './upstream/response-head.js';

/** The cause of an exchange whose client has left. */
export const CLIENT_CLOSED = 'client_closed';
/** Bodies up to this many bytes leave in one write with their head. */
const SINGLE_WRITE = 16_384;

/** RFC 9110 §15.3.6: an answer without content, whatever its fields say. */
const RESET_CONTENT = 205;
/** The last status that HTTP defines, and that HTTP/2 of Node writes (RFC 9110 §15). */
const LAST_STATUS = 599;

/** What a request's record is for here. */
export interface InFlightRecord {
  /** The request lasts: it takes no place among those in flight. */
  leaveInFlight(): void;
  /** It takes a place among them again. @returns which limit is reached; undefined if none is */
  rejoinInFlight(): 'in_flight' | 'client_share' | undefined;
  /** It takes a place among its client's long exchanges. @returns false where there is no room */
  joinLong(): boolean;
}

/** What one exchange is made of. */
export interface ExchangeOptions {
  readonly message: IncomingMessage;
  readonly response: ServerResponse;
  /** Undefined where the request has none. */
  readonly requestBody: RequestBody | undefined;
  readonly realm: string;
  /** How long a client may leave the answer unread, in milliseconds, 0 for ever. */
  readonly stallTimeout: number;
  /** What the gateway itself has to say in the answer. */
  readonly overlay: Overlay;
  /** Of the request, which leaves the count of requests in flight when it lasts. */
  readonly record: InFlightRecord;
  /** Is told of an exception. */
  readonly onFault: OnFault;
  /** Called exactly once, when the exchange is over. */
  readonly done: (result: ExchangeResult) => void;
}

/**
 * One request at the upstream, from the dispatch to the last byte: a connection's reader on one side, Node's response on
 * the other. Streams with back-pressure both ways; a client that leaves cancels the upstream at once; an upstream
 * that breaks off in the middle is seen by the client as broken off, never as complete (RFC 9112 §8).
 *
 * Every method that the event loop enters catches whatever is thrown in it: an exception ends this exchange, and
 * reaches no other.
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

  /** Before it has a connection. */
  #waiting: Waiting | undefined;
  /** While it has one. */
  #connection: UpstreamConnection | undefined;
  /** For whatever is being waited for: a free connection, then a client that does not read. Most wait for neither. */
  #deadline: Deadline | undefined;
  #trailers: readonly string[] = [];
  /** The head of the answer as long as it is not written: until then the client can be told of a failure. */
  #head: ClientFields | undefined;
  #upstreamStatus: number | undefined;
  #upstreamMs: number | undefined;
  /** Whether the client has been given more than it takes. */
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

  /** Whether it is over. */
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

  onEarlyHints({ names, fields }: ResponseHead): void {
    const links = fields.filter((_, i) => i % 2 === 1 && names[(i - 1) / 2] === 'link');
    if (links.length === 0 || this.#message.httpVersion === '1.0') return;
    // Another answer has the connection now, and would be interrupted by it.
    if (!isStream(this.#message) && this.#response.socket === null) return;
    try {
      this.#response.writeEarlyHints({ link: links });
    } catch {
      // Node takes links of the usual form alone. A hint is no more than a hint.
    }
  }

  onHead(head: ResponseHead): void {
    try {
      this.#upstreamStatus = head.status;
      this.#upstreamMs = performance.now() - this.#started;
      this.#head = responseFields(head, this.#overlay);
      // A first part of the body in the same packet takes the head along; else the head of a stream goes alone, at
      // once: the client of an event stream waits for it. A body of known length comes when it comes.
      if (this.#head.length === undefined) process.nextTick(flushHead, this);
    } catch (error) {
      this.#fault('answer head', error);
    }
  }

  /** Sends the head if nothing has taken it along yet. */
  flushHead(): void {
    try {
      if (this.#settled || !this.#writeHead()) return;
      // `flushHeaders` writes the fields of HTTP/1.1 in UTF-8, which makes two bytes of each beyond ASCII.
      if (isStream(this.#message)) this.#response.flushHeaders();
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

  /** @returns false where the client is to be waited for */
  #take(chunk: Buffer): boolean {
    const response = this.#response;
    const head = this.#head;
    if (this.#upstreamStatus === RESET_CONTENT) return true;
    if (head !== undefined) {
      if (!this.#writeHead()) return true;
      if (chunk.length === head.length && chunk.length <= SINGLE_WRITE) {
        // Node writes text in one piece with the head, and a buffer in a piece of its own.
        response.end(chunk.toString('latin1'), 'latin1');
        return true;
      }
    }
    // What is given belongs to the connection, and is written when the client takes it.
    if (response.writableEnded || response.write(Buffer.from(chunk))) return true;
    // Pieces that had been read already may still follow.
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
      // The upstream may have answered before it had read the body: what is left of it leads nowhere.
      this.#requestBody.destroy();
      drain(this.#message);
    }
    this.#settle(response.statusCode);
  }

  /** The client has been told 101 with the upstream's fields: its connection is not HTTP's any more. */
  onUpgrade(): void {
    this.#connection = undefined;
    this.#response.off('close', this.#onClose);
    this.#upstreamStatus = 101;
    this.#upstreamMs = performance.now() - this.#started;
    try {
      this.#settle(101);
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
    // Before the refusal, which reads what is left of the body by itself.
    this.#requestBody?.destroy();
    const cause = causeOf(error);
    if (this.#gone || cause === CLIENT_CLOSED || wasReset(this.#message)) {
      this.#settle(response.headersSent ? response.statusCode : 0, CLIENT_CLOSED);
    } else if (!response.headersSent) {
      const name = errorFor(error, cause);
      const refused = denial(
        name,
        REASONS[name],
        name === 'overloaded' || name === 'too_many_requests' ? RETRY : undefined,
      );
      const status = refuse(this.#message, response, refused, this.#realm, this.#overlay.cors);
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
   * @returns false where Node refuses it: then the exchange is over
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
    // Node calls the answer of a stream finished that its client has reset.
    if (isStream(this.#message) ? response.writableEnded : response.writableFinished) return;
    this.#gone = true;
    this.#end(new Interrupted(CLIENT_CLOSED));
  };

  /** An exception in one of the methods above: it ends this exchange. */
  #fault(place: string, error: unknown): void {
    this.#onFault(place, error);
    this.#giveUp('internal', FAULT);
  }

  /** Ends the exchange with an error of the table if there is still time for it, or by breaking off. Never throws. */
  #giveUp(name: ErrorFor, cause: string): void {
    const connection = this.#connection;
    this.#connection = undefined;
    this.#head = undefined;
    this.#waiting?.cancel();
    if (!this.#settled) {
      const told = denial(name, REASONS[name]);
      const status = refuseOrBreakOff(this.#message, this.#response, told, this.#realm);
      try {
        this.#settle(status, cause, name);
      } catch (error) {
        this.#onFault('account of an exchange', error);
      }
    }
    this.#requestBody?.destroy();
    connection?.abort(new Interrupted(cause));
  }

  /** Ends it from this side, wherever it is. */
  #end(error: Error): void {
    this.#waiting?.cancel();
    if (this.#connection === undefined) this.onError(error);
    else this.#connection.abort(error);
  }

  /** @param ms milliseconds that what is waited for may take, 0 for ever */
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

/** The client took its request back, which HTTP/2 tells of before the response closes. */
function wasReset(message: IncomingMessage): boolean {
  return isStream(message) && message.stream.aborted;
}

/** HTTP/2's response takes trailer fields by name alone. */
function addTrailers(response: ServerResponse, trailers: [string, string][]): void {
  if ('stream' in response) response.addTrailers(Object.fromEntries(trailers));
  else response.addTrailers(trailers);
}
