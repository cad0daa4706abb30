import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Handshakes } from './handshakes.js';
import type { Pipelines } from './pipelining.js';

/** How long after the start of the drain a client may take to send a request, in milliseconds. */
const GRACE = 1_000;
/** How often idle connections are looked for, in milliseconds. */
const LOOK = 100;

/**
 * Prepares a server for a drain that only requests in flight can delay. `server.close()` waits for every
 * connection, including those that have carried no byte: browsers open connections in advance, and load
 * balancers open them as health checks. Node counts such connections as busy, and during `server.close()` it
 * no longer checks its own timeouts.
 *
 * @param server not yet listening
 * @param pipelines know which HTTP/1.1 connections have unanswered requests
 * @param handshakes the handshakes of a TLS listener
 * @returns a function that starts the drain, to be called together with `server.close()`; it returns a
 *   function that ends the drain
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
      // HTTP/2 connections get a GOAWAY and close by themselves.
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
