import type { ServerResponse } from 'node:http';

/**
 * Ends a response with its whole body, and sends head and body in one write where the connection allows it.
 *
 * `response.end(body)` writes the body and then an empty string, so that Node gathers two buffers for each
 * response. That costs a tenth of the CPU time of a request whose token is cached. If the body is written while
 * the socket is corked and the socket is uncorked before `end`, one write of one string is left.
 *
 * @param response its head is complete (`writeHead`) and was not sent yet
 * @param body the whole body as Latin-1, one character for each byte, as long as Content-Length says
 */
export function endInOneWrite(response: ServerResponse, body: string): void {
  const { socket } = response;
  // An HTTP/2 stream has no such write, and a pipelined response has no socket until it is its turn.
  if (body === '' || response.req.httpVersionMajor > 1 || socket === null || socket.writableCorked > 0) {
    response.end(body, 'latin1');
    return;
  }
  socket.cork();
  try {
    response.write(body, 'latin1');
  } finally {
    socket.uncork();
  }
  response.end();
}
