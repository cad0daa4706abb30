import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Dispatcher } from 'undici';
import type { Revocation } from '../auth/introspection/revocation.js';
import { denial, type ErrorName } from '../model/errors.js';
import { causeOf } from '../observe/redaction.js';
import { lowerName } from '../parse/field-names.js';
import { isStream } from '../parse/parsed-request.js';
import { errorFor, isFault, REASONS, RETRY } from '../proxy/exchange-errors.js';
import { breakOff } from '../proxy/refusal.js';
import type { RequestBody } from '../proxy/request-body.js';
import { type Overlay, responseFields } from '../proxy/response-headers.js';
import { CLIENT_SHARE, Interrupted, LONG_FULL, QUEUE_TIMEOUT } from '../proxy/upstream/interrupted.js';
import { hasNoBody } from '../proxy/upstream/response-body.js';
import { type ResponseHead, readHead } from '../proxy/upstream/response-head.js';
import type { Authorization } from './authorization.js';
import type { BoundedPool, Place } from './pools.js';
import { ResponseBody } from './response-body.js';

/** A response as `@fastify/reply-from` takes it from a client of its own. */
export interface UpstreamResponse {
  readonly statusCode: number;
  readonly headers: Record<string, string | string[]>;
  readonly body: ResponseBody;
}

/** Is given either an error or the response. */
export type OnResponse = (error: Error | null, response?: UpstreamResponse) => void;

/** What one exchange is made of. */
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
  /** Milliseconds until the response must have begun; 0 for ever. */
  readonly timeout: number;
  /** The longest pause in a body, in milliseconds; 0 for ever. */
  readonly idleTimeout: number;
  /** What scopegate itself has to say in the response. */
  readonly overlay: Overlay;
  /** Where the request revokes a token: what to forget when it succeeds. */
  readonly revocation: Pick<Revocation, 'apply'> | undefined;
}

/** How long a response may go on that lasts if there is no room for it, in milliseconds, as in the gateway. */
const GRACE = 500;
/** The last status that HTTP defines, and that Fastify sends (RFC 9110 §15). */
const LAST_STATUS = 599;

/** One request at its upstream, from the first attempt to get a connection to the last byte of the response. */
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
    options.authorization.onGone = () => this.#end(new Interrupted('client_closed'));
    options.requestBody?.on('error', (error) => {
      this.#bodyError = error;
      this.#end(error);
    });
  }

  /** A piece of the request's body is on its way. */
  readonly onPiece = (): void => this.#body?.goesOn();

  /** Sends the request. @param onResponse called exactly once, unless the client leaves before */
  send(onResponse: OnResponse): void {
    this.#onResponse = onResponse;
    const { requestBody, authorization } = this.#options;
    if (requestBody === undefined) {
      this.#dispatch();
      return;
    }
    // Until the body is whole, or too large to wait for, the request holds nothing that others need.
    authorization.record.leaveInFlight();
    requestBody.fill(() => this.#dispatch());
  }

  #dispatch(): void {
    if (this.#over) return;
    const { authorization, requestBody, pool } = this.#options;
    try {
      const long = requestBody?.complete === false;
      const full = requestBody === undefined || long ? undefined : authorization.record.rejoinInFlight();
      if (full !== undefined) throw new Interrupted(full === 'in_flight' ? QUEUE_TIMEOUT : CLIENT_SHARE);
      if (long && !authorization.record.joinLong()) throw new Interrupted(CLIENT_SHARE);
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
          // A pause in the body is watched for behind it: an upload that goes on is none.
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
    if (this.#over) controller.abort(new Interrupted('client_closed'));
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    if (this.#over) return;
    const raw = decode(controller.rawHeaders as readonly Buffer[]);
    if (status < 200) {
      if (++this.#interim > MAX_INTERIM) throw new Interrupted('too_many_interim_answers');
      if (status === EARLY_HINTS) this.#hint(raw);
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
    // Nothing but the end of the connection tells a client of HTTP/1.0 that something is missing.
    body.once('error', () => {
      if (this.#options.reply.raw.headersSent) breakOff(this.#options.request.raw, this.#options.reply.raw);
    });
    setImmediate(() => this.#watchLength());
    const onResponse = this.#onResponse as OnResponse;
    this.#onResponse = undefined;
    const { fields } = responseFields(head, this.#options.overlay);
    onResponse(null, { statusCode: status, headers: recordOf(fields), body });
  }

  onResponseData(_controller: Dispatcher.DispatchController, piece: Buffer): void {
    this.#body?.add(piece);
  }

  onResponseEnd(): void {
    this.#body?.end();
    this.#finish();
    try {
      const { revocation, authorization } = this.#options;
      if (revocation !== undefined && Math.floor(this.#status / 100) === 2) {
        authorization.result = { ...authorization.result, revocation: revocation.apply() };
      }
    } catch (error) {
      this.#options.authorization.fail('end of a response', error);
    }
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#fail(this.#bodyError ?? error);
  }

  /**
   * Tells what a failed exchange is answered with.
   *
   * @param error as {@link OnResponse} got it
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
    const retry = RETRIED.has(name) ? RETRY : undefined;
    authorization.answer(denial(name, REASONS[name], retry));
  }

  /** Whether the response has no body, whatever its fields say. */
  get isBodiless(): boolean {
    const status = this.#status;
    return (
      status === RESET_CONTENT || (status > 0 && hasNoBody(this.#options.request.raw.method ?? '', status))
    );
  }

  #hint(raw: readonly string[]): void {
    const { request, reply } = this.#options;
    const links = raw.filter((_, i) => i % 2 === 1 && lowerName(raw[i - 1] as string) === 'link');
    if (links.length === 0 || request.raw.httpVersion === '1.0' || reply.raw.headersSent) return;
    if (!isStream(request.raw) && reply.raw.socket === null) return;
    try {
      reply.raw.writeEarlyHints({ link: links });
    } catch {
      // Node takes links of the usual form alone. A hint is no more than a hint.
    }
  }

  /** What is not over by now goes on for a while. */
  #watchLength(): void {
    if (this.#over || this.#place === undefined) return;
    this.#grace = setTimeout(() => {
      const full = this.#last();
      if (full !== undefined) this.#end(full);
    }, GRACE).unref();
  }

  /** The exchange lasts. @returns why it may not, if there is no room for one more of these */
  #last(): Error | undefined {
    const { authorization, pool } = this.#options;
    if (!authorization.record.joinLong()) return new Interrupted(CLIENT_SHARE);
    if (this.#place?.lasts() !== true) return pool.full(LONG_FULL);
    authorization.record.leaveInFlight();
    return undefined;
  }

  /** Ends it from this side, wherever it is. */
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
      // A 304 may state a length, and undici waits for a body of it.
      this.#body?.end();
    } else if (onResponse === undefined) {
      authorization.result = { ...authorization.result, cause: causeOf(error) };
      this.#body?.destroy(error);
    } else if (this.#options.reply.raw.destroyed || this.#options.request.raw.socket.destroyed) {
      // Nobody waits for a response any more.
      authorization.result = { ...authorization.result, cause: 'client_closed' };
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

const EARLY_HINTS = 103;
/** More interim responses than an honest upstream sends for one request. */
const MAX_INTERIM = 16;
/** RFC 9110 §15.3.6: a response without content, whatever its fields say. */
const RESET_CONTENT = 205;
/** undici's code for what it cannot write as a request. */
const UNSENDABLE = 'UND_ERR_INVALID_ARG';

/** undici's words for what the gateway's own client calls otherwise. */
const UNDICI_CAUSES: Readonly<Record<string, string>> = {
  UND_ERR_HEADERS_TIMEOUT: 'headers_timeout',
  UND_ERR_BODY_TIMEOUT: 'body_timeout',
};

const RETRIED: ReadonlySet<ErrorName> = new Set(['overloaded', 'too_many_requests']);

/** Field names and values as they came: a byte a character. */
function decode(raw: readonly Buffer[]): string[] {
  return raw.map((bytes) => bytes.toString('latin1'));
}

/**
 * Holds the head against the gateway's own reading of framing, which is stricter than undici's.
 *
 * @throws InvalidResponse
 */
function headOf(status: number, fields: readonly string[]): ResponseHead {
  let text = `HTTP/1.1 ${status}`;
  for (let i = 0; i + 1 < fields.length; i += 2) text += `\r\n${fields[i]}: ${fields[i + 1]}`;
  return readHead(text);
}

/** A field that comes again keeps a value of its own. */
function recordOf(fields: readonly string[]): Record<string, string | string[]> {
  const record: Record<string, string | string[]> = Object.create(null);
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = lowerName(fields[i] as string);
    const value = fields[i + 1] as string;
    const before = record[name];
    record[name] = before === undefined ? value : [...[before].flat(), value];
  }
  return record;
}
