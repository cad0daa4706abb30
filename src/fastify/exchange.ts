import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Dispatcher } from 'undici';
import type { Revocation } from '../auth/introspection/revocation.js';
import { EARLY_HINTS, LAST_STATUS, RESET_CONTENT } from '../model/statuses.js';
import { causeOf } from '../observe/redaction.js';
import { passEarlyHints } from '../proxy/early-hints.js';
import { errorFor, FAILURES, isFault } from '../proxy/exchange-errors.js';
import { countExchange } from '../proxy/in-flight.js';
import { breakOff } from '../proxy/refusal.js';
import type { RequestBody } from '../proxy/request-body.js';
import { type Overlay, responseFields } from '../proxy/response-headers.js';
import {
  BODY_TIMEOUT,
  CLIENT_CLOSED,
  CLIENT_SHARE,
  HEAD_TIMEOUT,
  Interrupted,
  LONG_FULL,
} from '../proxy/upstream/interrupted.js';
import { hasNoBody } from '../proxy/upstream/response-body.js';
import { type ResponseHead, readHead } from '../proxy/upstream/response-head.js';
import { GRACE, MAX_INTERIM } from '../proxy/upstream/response-limits.js';
import type { Authorization } from './authorization.js';
import { fieldRecord } from './field-record.js';
import type { BoundedPool, Place } from './pools.js';
import { ResponseBody } from './response-body.js';

/** A response in the form that `@fastify/reply-from` expects from a custom client. */
export interface UpstreamResponse {
  readonly statusCode: number;
  readonly headers: Record<string, string | string[]>;
  readonly body: ResponseBody;
}

/** Receives either an error or the response. */
export type OnResponse = (error: Error | null, response?: UpstreamResponse) => void;

/** The parts of one exchange. */
export interface ExchangeOptions {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly authorization: Authorization;
  readonly pool: BoundedPool;
  readonly path: string;
  /** The header fields to send: name, value, name, value … */
  readonly fields: readonly string[];
  /** Undefined if the request has none. */
  readonly requestBody: RequestBody | undefined;
  /** How long the upstream may take to begin the response, in milliseconds; 0 means no limit. */
  readonly timeout: number;
  /** The longest pause in a body, in milliseconds; 0 means no limit. */
  readonly idleTimeout: number;
  /** What scopegate itself adds to the response. */
  readonly overlay: Overlay;
  /** If the request revokes a token: invalidates its cached answers when the request succeeds. */
  readonly revocation: Pick<Revocation, 'applyAfter'> | undefined;
}

/**
 * One exchange with an upstream, from the first attempt to get a connection to the last byte of the response.
 */
export class UpstreamExchange implements Dispatcher.DispatchHandler {
  readonly #options: ExchangeOptions;
  readonly #started = performance.now();
  #place: Place | undefined;
  #controller: Dispatcher.DispatchController | undefined;
  #cancelWait: (() => void) | undefined;
  #onResponse: OnResponse | undefined;
  #body: ResponseBody | undefined;
  #bodyError: Error | undefined;
  #grace: NodeJS.Timeout | undefined;
  #status = 0;
  #interim = 0;
  #over = false;

  constructor(options: ExchangeOptions) {
    this.#options = options;
    options.authorization.onGone = () => this.#end(new Interrupted(CLIENT_CLOSED));
    options.requestBody?.on('error', (error) => {
      this.#bodyError = error;
      this.#end(error);
    });
  }

  /** Called for each piece of the request's body that is sent. */
  readonly onPiece = (): void => this.#body?.goesOn();

  /**
   * Sends the request.
   *
   * @param onResponse called exactly once, unless the client leaves before
   */
  send(onResponse: OnResponse): void {
    this.#onResponse = onResponse;
    const { requestBody, authorization } = this.#options;
    if (requestBody === undefined) {
      this.#dispatch();
      return;
    }
    // While scopegate waits for the body, the request uses nothing that other requests need. The wait ends
    // when the body is complete, or too large to wait for.
    authorization.record.leaveInFlight();
    requestBody.fill(() => this.#dispatch());
  }

  #dispatch(): void {
    if (this.#over) return;
    const { authorization, requestBody, pool } = this.#options;
    try {
      const long = requestBody?.complete === false;
      countExchange(authorization.record, requestBody !== undefined, long);
      this.#cancelWait = pool.take(
        long,
        (place) => this.#write(place),
        (error) => this.#fail(error),
      );
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #write(place: Place): void {
    this.#cancelWait = undefined;
    this.#place = place;
    const { request, path, fields, requestBody, timeout } = this.#options;
    try {
      place.dispatcher.dispatch(
        {
          method: request.raw.method as Dispatcher.HttpMethod,
          path,
          headers: fields as string[],
          body: requestBody ?? null,
          headersTimeout: timeout,
          // `ResponseBody` watches for pauses instead: an upload that goes on does not count as a pause.
          bodyTimeout: 0,
        },
        this,
      );
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#over) controller.abort(new Interrupted(CLIENT_CLOSED));
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    if (this.#over) return;
    const raw = decode(controller.rawHeaders as readonly Buffer[]);
    if (status < 200) {
      if (++this.#interim > MAX_INTERIM) throw new Interrupted('too_many_interim_answers');
      const { request, reply } = this.#options;
      if (status === EARLY_HINTS && !reply.raw.headersSent) passEarlyHints(request.raw, reply.raw, raw);
      return;
    }
    this.#options.requestBody?.allowAnyRate();
    const head = headOf(status, raw);
    this.#status = status;
    this.#options.authorization.result = {
      upstreamStatus: status,
      upstreamMs: performance.now() - this.#started,
    };
    if (status > LAST_STATUS) throw new Interrupted('answer_invalid: a status above 599');
    if (head.endless) {
      const full = this.#last();
      if (full !== undefined) throw full;
    }
    const body = new ResponseBody(controller, this.#options.idleTimeout);
    this.#body = body;
    // Only the end of the connection tells an HTTP/1.0 client that something is missing.
    body.once('error', () => {
      if (this.#options.reply.raw.headersSent) breakOff(this.#options.request.raw, this.#options.reply.raw);
    });
    setImmediate(() => this.#watchLength());
    const onResponse = this.#onResponse as OnResponse;
    this.#onResponse = undefined;
    const { fields } = responseFields(head, this.#options.overlay);
    onResponse(null, { statusCode: status, headers: fieldRecord(fields), body });
  }

  onResponseData(_controller: Dispatcher.DispatchController, piece: Buffer): void {
    this.#body?.add(piece);
  }

  onResponseEnd(): void {
    this.#body?.end();
    this.#finish();
    try {
      const { revocation, authorization } = this.#options;
      const effect = revocation?.applyAfter(this.#status);
      if (effect !== undefined) authorization.result = { ...authorization.result, revocation: effect };
    } catch (error) {
      this.#options.authorization.fail('end of a response', error);
    }
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#fail(this.#bodyError ?? error);
  }

  /**
   * Answers a request whose exchange has failed.
   *
   * @param error as {@link OnResponse} received it
   */
  refuse(error: Error): void {
    const { authorization } = this.#options;
    const cause = causeOf(error);
    if (isFault(error) || cause === UNSENDABLE) {
      authorization.result = { ...authorization.result, cause };
      authorization.fail('upstream exchange', error);
      return;
    }
    const name = errorFor(error, UNDICI_CAUSES[cause] ?? cause);
    authorization.result = { ...authorization.result, error: name, cause };
    authorization.answer(FAILURES[name]);
  }

  /** Whether the response has no body, whatever its fields say. */
  get isBodiless(): boolean {
    const status = this.#status;
    return (
      status === RESET_CONTENT || (status > 0 && hasNoBody(this.#options.request.raw.method ?? '', status))
    );
  }

  /** Makes the exchange a long one if it is not over within `GRACE`. */
  #watchLength(): void {
    if (this.#over || this.#place === undefined) return;
    this.#grace = setTimeout(() => {
      const full = this.#last();
      if (full !== undefined) this.#end(full);
    }, GRACE).unref();
  }

  /**
   * Makes the exchange a long one.
   *
   * @returns why that is not possible, if there is no room for one more
   */
  #last(): Error | undefined {
    const { authorization, pool } = this.#options;
    if (!authorization.record.joinLong()) return new Interrupted(CLIENT_SHARE);
    if (this.#place?.lasts() !== true) return pool.full(LONG_FULL);
    authorization.record.leaveInFlight();
    return undefined;
  }

  /** Ends the exchange from scopegate's side, in whatever state it is. */
  #end(error: Error): void {
    if (this.#over) return;
    this.#cancelWait?.();
    const controller = this.#controller;
    if (controller === undefined || controller.aborted) this.#fail(error);
    else controller.abort(error);
  }

  #fail(error: Error): void {
    if (this.#over) return;
    this.#finish();
    const onResponse = this.#onResponse;
    this.#onResponse = undefined;
    const { authorization, requestBody } = this.#options;
    requestBody?.destroy();
    if (this.isBodiless) {
      // A 304 may state a length; undici then waits for a body that never comes.
      this.#body?.end();
    } else if (onResponse === undefined) {
      authorization.result = { ...authorization.result, cause: causeOf(error) };
      this.#body?.destroy(error);
    } else if (this.#options.reply.raw.destroyed || this.#options.request.raw.socket.destroyed) {
      // The client has left, so no response is needed.
      authorization.result = { ...authorization.result, cause: CLIENT_CLOSED };
    } else {
      onResponse(error);
    }
  }

  #finish(): void {
    this.#over = true;
    clearTimeout(this.#grace);
    this.#place?.release();
  }
}

/** undici's error code for a request that it cannot write. */
const UNSENDABLE = 'UND_ERR_INVALID_ARG';

/** The gateway's own names for undici's error codes. */
const UNDICI_CAUSES: Readonly<Record<string, string>> = {
  UND_ERR_HEADERS_TIMEOUT: HEAD_TIMEOUT,
  UND_ERR_BODY_TIMEOUT: BODY_TIMEOUT,
};

/** Decodes field names and values as they came: each byte is one character. */
function decode(raw: readonly Buffer[]): string[] {
  return raw.map((bytes) => bytes.toString('latin1'));
}

/**
 * Reads the response head with the gateway's own parser, which is stricter about framing than undici.
 *
 * @throws InvalidResponse
 */
function headOf(status: number, fields: readonly string[]): ResponseHead {
  let text = `HTTP/1.1 ${status}`;
  for (let i = 0; i + 1 < fields.length; i += 2) text += `\r\n${fields[i]}: ${fields[i + 1]}`;
  return readHead(text);
}
