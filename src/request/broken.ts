import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { denial, ERRORS, errorBody } from '../errors.js';

/**
 * Answers what Node's parser could not read as a request, then closes: nothing after the fault is parsed
 * (RFC 9112 §11.2). Where an answer has begun, or an earlier request is still waiting for its own, a text here would
 * be taken for that one, so the connection just ends.
 */
export function answerBrokenRequest(error: Error & { code?: string }, socket: Socket): void {
  const current = (socket as { _httpMessage?: ServerResponse })._httpMessage;
  const own = current === undefined || current === null || (!current.headersSent && !current.req.complete);
  if (!socket.writable || !own || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const refused =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? denial('headers_too_large', 'the header fields are too large')
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? denial('request_timeout', 'the header fields did not arrive in time')
        : denial('malformed_request', 'the request cannot be parsed');
  const body = errorBody(refused);
  const { code, status } = ERRORS[refused.error];
  socket.end(
    `HTTP/1.1 ${code} ${status}\r\ncontent-type: application/json; charset=utf-8\r\ncache-control: no-store\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
    () => socket.destroy(),
  );
}
