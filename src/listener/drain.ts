import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Handshakes } from './handshakes.js';
import type { Pipelines } from './pipelining.js';

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
 * @param pipelines know on which connections of HTTP/1.1 an answer is owed
 * @param handshakes of a TLS listener
 * @returns begins the drain, to be called beside `server.close()`; what it returns ends it
 */
export function prepareDrain(
  server: Server,
  pipelines: Pipelines,
  handshakes: Handshakes | undefined,
): () => () => void {
  const sockets = new Set<Socket>();
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  };
  if (handshakes === undefined) server.on('connection', keep);
  else {
    server.on('secureConnection', (socket: TLSSocket) => {
      // Connections of HTTP/2 are told to end, and do so by themselves.
      if (socket.alpnProtocol !== 'h2') keep(socket);
    });
  }
  return () => {
    const began = performance.now();
    const timer = setInterval(() => {
      server.closeIdleConnections();
      if (performance.now() - began < GRACE) return;
      handshakes?.cut();
      for (const socket of sockets) if (pipelines.isUnused(socket)) socket.destroy();
    }, LOOK);
    return () => clearInterval(timer);
  };
}
