import type { IncomingMessage, ServerResponse } from 'node:http';
import { constants } from 'node:http2';
import {
  challenge,
  closesConnection,
  type Denial,
  ERRORS,
  type ErrorAnswer,
  errorBody,
} from '../model/errors.js';
import { isStream } from '../parse/parsed-request.js';
import { responseFields } from './response-headers.js';
import { endInOneWrite } from './single-write.js';

/**
 * The limits of reading a body that is discarded: how long the client may take to finish it, in milliseconds,
 * and how many bytes are read.
 */
export const DRAIN_TIME = 5_000;
export const DRAIN_BYTES = 1_048_576;

/** A row of the error table as a response, in a form that every sender can use. */
export interface Refusal {
  readonly code: number;
  /** Name, value, name, value …; without Content-Length and the hop-by-hop fields. */
  readonly fields: string[];
  readonly body: string;
  /** Whether the connection closes after this response. */
  readonly closes: boolean;
}

/**
 * Builds the response of a refusal.
 *
 * @param realm the realm of the challenge
 */
export function refusalOf(refused: Denial, realm: string): Refusal {
  if (refused.answer?.body !== undefined) return foreign(refused.answer.body, refused.answer);
  const body = errorBody(refused);
  const fields = ['content-type', 'application/json; charset=utf-8'];
  const { answer } = refused;
  const authenticate = answer === undefined ? challenge(refused, realm) : answer.authenticate;
  if (answer?.location !== undefined) fields.push('location', answer.location);
  if (authenticate !== undefined) fields.push('www-authenticate', authenticate);
  if (refused.nonce !== undefined) fields.push('dpop-nonce', refused.nonce);
  if (refused.retryAfter !== undefined) fields.push('retry-after', String(refused.retryAfter));
  fields.push('cache-control', 'no-store');
  return {
    code: answer?.code ?? ERRORS[refused.error].code,
    fields,
    body,
    closes: closesConnection(refused),
  };
}

/**
 * Builds the response that an external authorizer has given. Its fields get the same treatment as an upstream's:
 * it repeats fields that HTTP/2 allows once as easily as an upstream does.
 */
function foreign(body: string, { code, fields: given = [] }: ErrorAnswer): Refusal {
  const names = given.filter((_, index) => index % 2 === 0);
  const { fields } = responseFields({ status: code, fields: given, names, length: undefined });
  const own = names.includes('cache-control') ? [] : ['cache-control', 'no-store'];
  return { code, fields: [...fields, ...own], body, closes: false };
}

/**
 * Answers a request with a row of the error table. The response is complete before the client has sent its
 * whole body. The rest of the body is read and discarded up to a limit, and never parsed as a request
 * (RFC 9112 §9.3). A connection that must close closes only after that: if it closed with unread bytes, it would
 * be reset, and the client could lose the response (RFC 9112 §9.6).
 *
 * @param realm the realm of the challenge
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
  // One character for each byte, so that its length is that of the body.
  const bytes = Buffer.from(body).toString('latin1');
  fields.push('content-length', String(bytes.length));
  // A client that waits for 100 may never send the body that it declared. So the next bytes on the connection
  // may be the body or another request, and the connection must close.
  const waits = message.headers.expect !== undefined;
  const ofStream = isStream(message);
  if ((closes || waits) && !ofStream) fields.push('connection', 'close');
  fields.push(...cors);
  response.writeHead(code, fields);
  const sent = message.method === 'HEAD' ? '' : bytes;
  const rest = ofStream || declaresBody(message);
  if (closes && !waits && !ofStream && rest) {
    response.write(sent, 'latin1');
    // Node would delay the response until the parser has read the following bytes, which may break the
    // connection.
    response.socket?.uncork();
    drain(message, () => response.end());
  } else {
    endInOneWrite(response, sent);
    if (rest) drain(message);
  }
  return code;
}

/**
 * Answers with a row of the error table if the response has not begun; otherwise breaks the response off. It
 * is for errors in scopegate itself, so it never throws, whatever state the response is in.
 *
 * @param realm the realm of the challenge
 * @returns the status that the client got; 0 if it got none
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
      // An HTTP/2 response keeps the fields of a head that it refused to write.
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

/**
 * Ends an unfinished response in such a way that the client sees it as incomplete. If only the end of the
 * connection frames the response, the connection is reset.
 */
export function breakOff(message: IncomingMessage, response: ServerResponse): void {
  if (isStream(message)) {
    // Destroying the stream would reset it with "no error", which some clients read as a complete response.
    message.stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    return;
  }
  const socket = response.socket;
  // Node cannot reset a socket that is already shutting down: the socket would stay open and keep the event
  // loop busy.
  if (message.httpVersion === '1.0' && socket !== null && !('encrypted' in socket) && !socket.writableEnded) {
    socket.resetAndDestroy();
  }
  response.destroy();
}

/** Whether the request has a body (RFC 9112 §6.3), by the fields as Node has read them. */
export function declaresBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0;
}

/**
 * Reads and discards the rest of a body that is no longer needed, up to a limit of size and time. Beyond the
 * limit the connection closes.
 *
 * @param done called when the body or the connection has ended
 */
export function drain(message: IncomingMessage, done?: () => void): void {
  if (message.readableEnded || message.destroyed) {
    done?.();
    return;
  }
  let left = DRAIN_BYTES;
  // Once its response is sent, a message gets no event when its connection closes. So the timer may stay, and
  // it must not delay the exit of the process.
  const timer = setTimeout(() => abandon(message), DRAIN_TIME).unref();
  message.on('data', (chunk: Buffer) => {
    left -= chunk.length;
    // Only pause: if the connection closed now, it would be reset before the client has read its response.
    if (left < 0) message.pause();
  });
  message.on('error', () => {});
  message.once('close', () => {
    clearTimeout(timer);
    done?.();
  });
  message.resume();
}

/**
 * Stops reading a request. It closes the connection, or the HTTP/2 stream, whose response is complete
 * (RFC 9113 §8.1).
 */
function abandon(message: IncomingMessage): void {
  if (isStream(message)) message.stream.close(constants.NGHTTP2_NO_ERROR);
  else message.destroy();
}
