import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

/** How long a client may take, once the drain has begun, for a request it had begun or was about to send: milliseconds. */
const GRACE = 1_000;
/** How often is looked for connections that have become idle, in milliseconds. */
const LOOK = 100;

/**
 * Prepares a server for a drain that only requests in flight can hold up. `server.close()` waits for every connection,
 * also for those on which nothing was ever sent: a browser opens them in advance, a load balancer to see whether
 * somebody is there. Node counts them as busy, and has stopped looking at its own timeouts by then.
 *
 * @param server not yet listening
 * @returns begins the drain, to be called beside `server.close()`; what it returns ends it
 */
export function prepareDrain(server: Server): () => () => void {
  const sockets = new Set<Socket>();
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  };
  server.on('connection', keep);
  // With TLS this is the connection that requests come on; its parent is the one above, whose handshake may stall.
  server.on('secureConnection', (socket: TLSSocket & { _parent?: Socket }) => {
    if (socket._parent !== undefined) sockets.delete(socket._parent);
    // Connections of HTTP/2 are told to end, and do so by themselves.
    if (socket.alpnProtocol !== 'h2') keep(socket);
  });
  return () => {
    const began = performance.now();
    const timer = setInterval(() => {
      server.closeIdleConnections();
      if (performance.now() - began < GRACE) return;
      for (const socket of sockets) if (isUnused(socket)) socket.destroy();
    }, LOOK);
    return () => clearInterval(timer);
  };
}

/** No request has arrived that is not answered yet. What became a WebSocket has no parser any more, and its own end. */
function isUnused(socket: Socket): boolean {
  const { _httpMessage, parser, encrypted } = socket as Socket & {
    _httpMessage?: unknown;
    parser?: unknown;
    encrypted?: boolean;
  };
  if (encrypted === undefined && parser === undefined) return true;
  return parser !== null && (_httpMessage === undefined || _httpMessage === null);
}
