import type { IncomingMessage, ServerResponse } from 'node:http';
import { constants } from 'node:http2';
import type { Dispatcher } from 'undici';
import { causeOf } from '../crash.js';
import { denial, type ErrorName } from '../errors.js';
import { isStream } from '../request/arrival.js';
import { drain, refuse } from './refusal.js';
import { bodiless, type Overlay, responseFields, trailerFields } from './response.js';
import { type Upload, UploadBroken, UploadStalled, UploadTooLarge } from './upload.js';

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

/** The cause of an answer that did not begin in time because no connection was free. */
const QUEUE_TIMEOUT = 'queue_timeout';

/** Whole bodies up to this many bytes are sent with their head. */
const AT_ONCE = 16_384;

/** More interim responses than any honest upstream sends. */
const MAX_INTERIM = 16;

/** Reasons the gateway itself ends an exchange. */
class Ended extends Error {
  readonly code: string;
  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

/**
 * One request at the upstream, from the dispatch to the last byte: undici's handler on one side, Node's response on
 * the other. Streams with back-pressure both ways; a client that leaves cancels the upstream at once; an upstream
 * that breaks off in the middle is seen by the client as broken off, never as complete (RFC 9112 §8).
 *
 * Uses undici's raw handler interface, which hands header fields over as they came: order, case and repetition
 * survive, and no object is built to be taken apart again.
 */
export class Exchange implements Dispatcher.DispatchHandler {
  readonly #message: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #upload: Upload | undefined;
  readonly #realm: string;
  readonly #stallTimeout: number;
  readonly #overlay: Overlay;
  readonly #done: (result: ExchangeResult) => void;
  readonly #started = performance.now();

  #abort: ((error: Error) => void) | undefined;
  #resume: (() => void) | undefined;
  /** For whatever is being waited for: a free connection, then a client that does not read. */
  #timer: NodeJS.Timeout | undefined;
  #trailers: readonly string[] = [];
  #interim = 0;
  /** Of the whole body in bytes, where the upstream has said it. */
  #length: number | undefined;
  #upstreamStatus: number | undefined;
  #upstreamMs: number | undefined;
  #begun = false;
  #gone = false;
  #settled = false;

  /**
   * @param upload the request's body, if it has one
   * @param stallTimeout milliseconds a client may leave the answer unread, 0 for ever
   * @param overlay what the gateway itself has to say in the answer
   * @param done called exactly once, when the exchange is over
   */
  constructor(
    message: IncomingMessage,
    response: ServerResponse,
    upload: Upload | undefined,
    realm: string,
    stallTimeout: number,
    overlay: Overlay,
    done: (result: ExchangeResult) => void,
  ) {
    this.#message = message;
    this.#response = response;
    this.#upload = upload;
    this.#realm = realm;
    this.#stallTimeout = stallTimeout;
    this.#overlay = overlay;
    this.#done = done;
    response.on('close', this.#onClose);
  }

  /** Bounds the wait for a free connection to the upstream, in milliseconds: undici's own timeout begins after it. */
  queue(timeout: number): void {
    if (this.#abort !== undefined || this.#settled || this.#gone) return;
    this.#timer = setTimeout(() => this.onError(new Ended(QUEUE_TIMEOUT)), timeout);
  }

  onConnect(abort: (error?: Error) => void): void {
    clearTimeout(this.#timer);
    // To throw ends this request; to abort would end the idle connection it was given as well.
    if (this.#gone || this.#settled) throw new Ended('client_closed');
    this.#abort = abort;
  }

  onUpgrade(): void {
    // Unreachable: nothing is dispatched with `upgrade`; undici treats an unasked 101 as a broken answer.
    this.#abort?.(new Ended('unasked_upgrade'));
  }

  onHeaders(status: number, raw: Buffer[], resume: () => void): boolean {
    if (status < 200) {
      // 103 Early Hints and unknown interim answers are consumed (RFC 9110 §15.2), in a bounded number.
      if (++this.#interim > MAX_INTERIM) this.#abort?.(new Ended('too_many_interim_answers'));
      return true;
    }
    this.#upstreamStatus = status;
    this.#upstreamMs = performance.now() - this.#started;
    this.#resume = resume;
    const response = this.#response;
    const { fields, trailers, length } = responseFields(raw, status, this.#overlay);
    if (
      trailers.length > 0 &&
      this.#message.httpVersion !== '1.0' &&
      !bodiless(this.#message.method ?? '', status)
    ) {
      this.#trailers = trailers;
      fields.push('trailer', trailers.join(', '));
    }
    response.writeHead(status, fields);
    if (status === 304 || status === 204) {
      // undici holds a Content-Length against the body that cannot follow it, and would call the answer broken.
      response.end();
      return true;
    }
    // A first part of the body in the same packet takes the head along; else the head of a stream goes alone, at
    // once: the client of an event stream waits for it. A body of known length comes when it comes.
    if (length === undefined) process.nextTick(flushHead, this);
    else this.#length = length;
    return true;
  }

  /** Sends the head if nothing has taken it along yet. */
  flushHead(): void {
    if (!this.#begun && !this.#settled) this.#response.flushHeaders();
  }

  onData(chunk: Buffer): boolean {
    this.#begun = true;
    if (chunk.length === this.#length && chunk.length <= AT_ONCE && !this.#response.writableEnded) {
      // As text the body goes out in one piece with the head, for which it need not be gathered from two.
      this.#response.end(chunk.toString('latin1'), 'latin1');
      return true;
    }
    if (this.#response.writableEnded || this.#response.write(chunk)) return true;
    this.#response.once('drain', this.#onDrain);
    if (this.#stallTimeout > 0) {
      this.#timer = setTimeout(() => this.#abort?.(new Ended('client_stalled')), this.#stallTimeout);
    }
    return false;
  }

  onComplete(raw: Buffer[] | string[] | null): void {
    const response = this.#response;
    if (!response.writableEnded) {
      if (this.#trailers.length > 0 && raw !== null && raw.length > 0) {
        addTrailers(response, trailerFields(raw as Buffer[], this.#trailers));
      }
      response.end();
    }
    if (this.#upload !== undefined) {
      // The upstream may have answered before it had read the body: what is left of it leads nowhere.
      this.#upload.destroy();
      drain(this.#message);
    }
    this.#settle(response.statusCode);
  }

  onError(error: Error): void {
    if (this.#settled) return;
    const response = this.#response;
    // Before the refusal, which reads what is left of the body by itself.
    this.#upload?.destroy();
    const cause = causeOf(error);
    if (this.#gone || wasReset(this.#message)) {
      this.#settle(response.headersSent ? response.statusCode : 0, 'client_closed');
    } else if (!response.headersSent) {
      const name = errorFor(error, cause);
      const status = refuse(
        this.#message,
        response,
        denial(name, REASONS[name]),
        this.#realm,
        this.#overlay.cors,
      );
      this.#settle(status, cause, name);
    } else if (response.writableEnded) {
      this.#settle(response.statusCode);
    } else {
      breakOff(this.#message, response);
      this.#settle(response.statusCode, cause);
    }
  }

  readonly #onClose = (): void => {
    const response = this.#response;
    // Node calls the answer of a stream finished that its client has reset.
    if (isStream(this.#message) ? response.writableEnded : response.writableFinished) return;
    this.#gone = true;
    this.#upload?.destroy();
    this.#abort?.(new Ended('client_closed'));
  };

  readonly #onDrain = (): void => {
    clearTimeout(this.#timer);
    this.#resume?.();
  };

  #settle(status: number, cause?: string, error?: ErrorName): void {
    if (this.#settled) return;
    this.#settled = true;
    clearTimeout(this.#timer);
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

/** Makes an unfinished answer look unfinished: a reset where nothing but the connection's end frames it. */
function breakOff(message: IncomingMessage, response: ServerResponse): void {
  if (isStream(message)) {
    // A stream that is destroyed without more is reset with "no error", which some clients take for an end.
    message.stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    return;
  }
  const socket = response.socket;
  // Node cannot reset what is shutting down already: the socket would stay, and keep its loop busy.
  if (message.httpVersion === '1.0' && socket !== null && !('encrypted' in socket) && !socket.writableEnded) {
    socket.resetAndDestroy();
  }
  response.destroy();
}

const REASONS: Readonly<Record<ErrorFor, string>> = {
  upstream_unreachable: 'no connection to the upstream',
  upstream_invalid: 'the upstream broke off or broke the protocol',
  upstream_timeout: 'the upstream took too long',
  body_too_large: 'the request body is too large',
  request_timeout: 'the request body stalled',
  malformed_request: 'the request body is broken',
  internal: 'the request could not be sent',
};

type ErrorFor =
  | 'upstream_unreachable'
  | 'upstream_invalid'
  | 'upstream_timeout'
  | 'body_too_large'
  | 'request_timeout'
  | 'malformed_request'
  | 'internal';

function errorFor(error: Error, cause: string): ErrorFor {
  if (error instanceof UploadTooLarge) return 'body_too_large';
  if (error instanceof UploadStalled) return 'request_timeout';
  if (error instanceof UploadBroken) return 'malformed_request';
  if (TIMEOUTS.has(cause)) return 'upstream_timeout';
  return UNREACHABLE.test(cause) ? 'upstream_unreachable' : 'upstream_invalid';
}

const TIMEOUTS = new Set([
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'ETIMEDOUT',
  QUEUE_TIMEOUT,
]);
const UNREACHABLE =
  /^(?:ECONNREFUSED|ENOTFOUND|EAI_|EHOST|ENETUNREACH|EMFILE|ENFILE|EADDR|CERT_|ERR_TLS_|ERR_SSL_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_MISMATCH)/;
