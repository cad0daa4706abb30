import type { Socket } from 'node:net';
import { type Denial, denial, ERRORS, errorBody } from '../model/errors.js';
import type { Pipelines } from './pipelining.js';

/**
 * Answers a message that Node's parser could not read as a request, then closes the connection: nothing after
 * the error is parsed (RFC 9112 §11.2). If earlier requests still wait for their responses, these are sent
 * first. The error then gets no response, because the client would read it as one of them. If the error is in
 * the body of a request whose response has begun, the connection just closes.
 *
 * @returns the refusal that the client got; undefined if it got none, or if the request has a record of its
 *   own
 */
export function answerBrokenRequest(
  error: Error & { code?: string },
  socket: Socket,
  pipelines: Pipelines,
): Denial | undefined {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return undefined;
  }
  const pipeline = pipelines.of(socket);
  if (pipeline?.owesAnswers === true) {
    pipeline.endAfterAnswers();
    return undefined;
  }
  const arriving = pipeline?.arriving;
  if (arriving?.headersSent === true) {
    socket.destroy();
    return undefined;
  }
  const refused =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? denial('headers_too_large', 'the header fields are too large')
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? denial('request_timeout', 'the header fields did not arrive in time')
        : denial('malformed_request', 'the request cannot be parsed');
  socket.end(refusalText(refused), () => socket.destroy());
  return arriving === undefined ? refused : undefined;
}

/**
 * Refuses CONNECT, which would open a tunnel (RFC 9110 §9.3.6). Node hands over the connection of such a
 * request.
 *
 * @returns the refusal that the client got; undefined if earlier requests still wait for their responses,
 *   after which the connection closes
 */
export function refuseConnect(socket: Socket, pipelines: Pipelines): Denial | undefined {
  socket.on('error', () => {});
  if (!pipelines.handOver(socket)) return undefined;
  const refused = denial('method_refused', 'CONNECT is not served');
  socket.end(refusalText(refused), () => socket.destroy());
  return refused;
}

/**
 * A row of the error table as the text of a connection's last response, for connections without a response
 * object of Node's.
 */
export function refusalText(refused: Denial): string {
  const body = errorBody(refused);
  const { code, status } = ERRORS[refused.error];
  return (
    `HTTP/1.1 ${code} ${status}\r\ncontent-type: application/json; charset=utf-8\r\ncache-control: no-store\r\n` +
    `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`
  );
}
