import type { IncomingMessage, ServerResponse } from 'node:http';
import { challenge, type Denial, ERRORS, type ErrorRow, errorBody } from '../errors.js';

/** How long a client may go on sending a body that nobody reads, in milliseconds, and how much of it. */
const DRAIN_TIME = 5_000;
const DRAIN_BYTES = 1_048_576;

/**
 * Answers a request with a row of the error table. The answer is complete before the client's body is: what is left
 * of the body is read and thrown away within a bound, and never parsed as a request (RFC 9112 §9.3, §9.6).
 *
 * @param realm for the challenge
 * @returns the status sent
 */
export function refuse(
  message: IncomingMessage,
  response: ServerResponse,
  refused: Denial,
  realm: string,
): number {
  const row: ErrorRow = ERRORS[refused.error];
  const body = errorBody(refused);
  const fields: Record<string, string | number> = {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
  };
  const authenticate = challenge(refused, realm);
  if (authenticate !== undefined) fields['www-authenticate'] = authenticate;
  if (refused.retryAfter !== undefined) fields['retry-after'] = refused.retryAfter;
  // A client that waits for 100 may never send the body it declared: the connection's framing is lost.
  if ((row.close === true || message.headers.expect !== undefined) && message.httpVersionMajor === 1) {
    fields['connection'] = 'close';
  }
  response.writeHead(row.code, fields);
  response.end(message.method === 'HEAD' ? undefined : body);
  drain(message);
  return row.code;
}

/** Reads and forgets the rest of a body that nobody wants any more, within a bound. */
export function drain(message: IncomingMessage): void {
  if (message.complete || message.destroyed) return;
  let bytes = 0;
  const giveUp = () => message.destroy();
  const timer = setTimeout(giveUp, DRAIN_TIME);
  message.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > DRAIN_BYTES) giveUp();
  });
  message.on('error', () => {});
  message.once('close', () => clearTimeout(timer));
  message.once('end', () => clearTimeout(timer));
}
