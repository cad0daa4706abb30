import type { ServerResponse } from 'node:http';

/** Bodies up to this many bytes are sent with their head. */
export const WHOLE = 16_384;

/**
 * Ends an answer with its whole body, head and body in one write. Node gathers the two from two buffers, which costs a
 * fifteenth of all that a request costs; as one text they need no gathering.
 *
 * @param response its head has been made, and not sent
 * @param body all of it as Latin-1, as long as Content-Length says
 */
export function endWhole(response: ServerResponse, body: string): void {
  const pending = response as unknown as { _header: unknown; _headerSent: unknown };
  // The head as Node keeps it until it is sent; HTTP/2 has none, and another Node may keep it elsewhere.
  if (typeof pending._header === 'string' && pending._headerSent === false) {
    pending._header += body;
    response.end();
  } else {
    response.end(body, 'latin1');
  }
}
