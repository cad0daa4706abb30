import type { IncomingMessage, ServerResponse } from 'node:http';
import { constants } from 'node:http2';
import { challenge, type Denial, ERRORS, type ErrorRow, errorBody } from '../model/errors.js';
import { isStream } from '../parse/parsed-request.js';

/** How long a client may take to end a body that nobody wants, in milliseconds, and how much of it is read. */
const DRAIN_TIME = 5_000;
const DRAIN_BYTES = 1_048_576;

/** A row of the error table as a response: what any way to send one needs. */
export interface Refusal {
  readonly code: number;
  /** Name, value, name, value …; without those of the connection. */
  readonly fields: string[];
  readonly body: string;
  /** Whether the connection ends with it. */
  readonly closes: boolean;
}

/**
 * Builds the response of a refusal.
 *
 * @param realm for the challenge
 */
export function refusalOf(refused: Denial, realm: string): Refusal {
  const row: ErrorRow = ERRORS[refused.error];
  const body = errorBody(refused);
  const bytes = Buffer.byteLength(body);
  const fields = ['content-type', 'application/json; charset=utf-8', 'content-length', String(bytes)];
  const { answer } = refused;
  const authenticate = answer === undefined ? challenge(refused, realm) : answer.authenticate;
  if (answer?.location !== undefined) fields.push('location', answer.location);
  if (authenticate !== undefined) fields.push('www-authenticate', authenticate);
  if (refused.nonce !== undefined) fields.push('dpop-nonce', refused.nonce);
  if (refused.retryAfter !== undefined) fields.push('retry-after', String(refused.retryAfter));
  fields.push('cache-control', 'no-store');
  return { code: answer?.code ?? row.code, fields, body, closes: row.close === true };
}

/**
 * Answers a request with a row of the error table. The answer is complete before the client's body is: what is left
 * of the body is read and thrown away within a bound, and never parsed as a request (RFC 9112 §9.3). Where the
 * connection closes, it closes after that: closed over unread bytes it would be reset, and the answer be lost with it
 * (RFC 9112 §9.6).
 *
 * @param realm for the challenge
 * @param cors further fields: name, value, name, value …
 * @returns the status sent
 */
export function refuse(
  message: IncomingMessage,
  response: ServerResponse,
  refused: Denial,
  realm: string,
  cors: readonly string[] = [],
): number {
  const { code, fields, body, closes } = refusalOf(refused, realm);
  // A client that waits for 100 may never send the body it declared: the connection's framing is lost.
  const waits = message.headers.expect !== undefined;
  const ofStream = isStream(message);
  if ((closes || waits) && !ofStream) fields.push('connection', 'close');
  fields.push(...cors);
  response.writeHead(code, fields);
  const text = message.method === 'HEAD' ? '' : body;
  const rest = ofStream || hasBody(message);
  if (closes && !waits && !ofStream && rest) {
    response.write(text);
    // Node would hold it back until the parser has seen what follows, which may break the connection.
    response.socket?.uncork();
    drain(message, () => response.end());
  } else {
    response.end(text);
    if (rest) drain(message);
  }
  return code;
}

/**
 * Answers with a row of the error table if the answer has not begun, and breaks it off otherwise. For the failures of
 * scopegate itself: it throws nothing, whatever state the response is in.
 *
 * @param realm for the challenge
 * @returns the status that the client was told; 0 where it was told none
 */
export function refuseOrBreakOff(
  message: IncomingMessage,
  response: ServerResponse,
  refused: Denial,
  realm: string,
): number {
  const begun = response.headersSent;
  try {
    if (!begun) {
      // HTTP/2's response keeps the fields of a head that it refused to write.
      for (const name of response.getHeaderNames()) response.removeHeader(name);
      return refuse(message, response, refused, realm);
    }
    breakOff(message, response);
  } catch {
    if (isStream(message)) message.stream.destroy();
    else message.socket.destroy();
  }
  return begun ? response.statusCode : 0;
}

/** Makes an unfinished answer look unfinished: a reset where nothing but the connection's end frames it. */
export function breakOff(message: IncomingMessage, response: ServerResponse): void {
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

/** Whether a body follows the request's head (RFC 9112 §6.3). */
function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0;
}

/**
 * Reads and forgets the rest of a body that nobody wants any more, within a bound of size and time; then the
 * connection ends.
 *
 * @param done called when the body or the connection has ended
 */
export function drain(message: IncomingMessage, done?: () => void): void {
  if (message.readableEnded || message.destroyed) {
    done?.();
    return;
  }
  let left = DRAIN_BYTES;
  // A connection that is gone tells a message nothing once its answer is out: the timer must not hold up an exit.
  const timer = setTimeout(() => abandon(message), DRAIN_TIME).unref();
  message.on('data', (chunk: Buffer) => {
    left -= chunk.length;
    // Ended now, the connection would be reset before the client has read its answer.
    if (left < 0) message.pause();
  });
  message.on('error', () => {});
  message.once('close', () => {
    clearTimeout(timer);
    done?.();
  });
  message.resume();
}

/** Stops to read a request: with its connection, or with its stream, whose answer is complete (RFC 9113 §8.1). */
function abandon(message: IncomingMessage): void {
  if (isStream(message)) message.stream.close(constants.NGHTTP2_NO_ERROR);
  else message.destroy();
}
