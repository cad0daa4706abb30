import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { denial, ERRORS, errorBody } from '../errors.js';

/** What Node keeps at a connection: the response that has it now, and the request whose bytes are being read. */
type Parsed = Socket & {
  readonly _httpMessage?: ServerResponse | null;
  readonly parser?: { readonly incoming?: IncomingMessage | null } | null;
};

/**
 * Answers what Node's parser could not read as a request, then closes: nothing after the fault is parsed
 * (RFC 9112 §11.2). Where an answer has begun, or an earlier request is still waiting for its own, a text here would
 * be taken for that one, so the connection just ends.
 */
export function answerBrokenRequest(error: Error & { code?: string }, socket: Socket): void {
  const { _httpMessage: current, parser } = socket as Parsed;
  const unfinished = parser?.incoming?.complete === false;
  // Without a response, an unfinished request is one that has its answer already.
  const own = current == null ? !unfinished : !current.headersSent && !current.req.complete;
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
