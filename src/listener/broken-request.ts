import type { Socket } from 'node:net';
import { type Denial, denial, ERRORS, errorBody } from '../model/errors.js';
import type { Pipelines } from './pipelining.js';

/**
 * Answers what Node's parser could not read as a request, then closes: nothing after the fault is parsed
 * (RFC 9112 §11.2). Where earlier requests still wait for their answers, these are brought first, and a text for the
 * fault is left out, because it would be taken for one of them. Where the fault is in the body of a request whose
 * answer has begun, the connection just ends.
 *
 * @returns what the client was told, where no request that has an account of its own was concerned
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
 * Refuses CONNECT, for which Node hands over the connection (RFC 9110 §9.3.6: it would open a tunnel).
 *
 * @returns what the client was told; undefined where earlier requests still wait for their answers, after which the
 *   connection ends
 */
export function refuseConnect(socket: Socket, pipelines: Pipelines): Denial | undefined {
  socket.on('error', () => {});
  if (!pipelines.handOver(socket)) return undefined;
  const refused = denial('method_refused', 'CONNECT is not served');
  socket.end(refusalText(refused), () => socket.destroy());
  return refused;
}

/** A row of the error table as the last answer of a connection that has no response of Node's. */
export function refusalText(refused: Denial): string {
  const body = errorBody(refused);
  const { code, status } = ERRORS[refused.error];
  return (
    `HTTP/1.1 ${code} ${status}\r\ncontent-type: application/json; charset=utf-8\r\ncache-control: no-store\r\n` +
    `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`
  );
}
