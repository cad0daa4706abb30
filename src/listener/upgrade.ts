import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { endAfterResponses, pendingResponse } from './last-response.js';

/**
 * Stands between Node and whoever takes upgrades. Node hands over the connection at once, even while an earlier request
 * on it still waits for its answer, and takes its own error listener off it: a second answer cannot be written there,
 * and a reset would end the process.
 *
 * An upgrade behind unanswered requests is not served: the connection ends after their answers, and the client may ask
 * again (RFC 9112 §9.3.2: what follows on a connection may be left unanswered when it closes).
 *
 * @param server whose listeners of `upgrade` are all in place
 */
export function guardUpgrades(server: Server): void {
  const takers = server.listeners('upgrade') as ((
    message: IncomingMessage,
    socket: Duplex,
    head: Buffer,
  ) => void)[];
  if (takers.length === 0) return;
  server.removeAllListeners('upgrade');
  server.on('upgrade', (message: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', forget);
    if (pendingResponse(socket) === undefined)
      for (const taker of takers) taker.call(server, message, socket, head);
    else {
      // Node has taken this off too: without it an answer that waits for its reader would wait for ever.
      socket.on('drain', () => pendingResponse(socket)?.emit('drain'));
      endAfterResponses(socket);
    }
  });
}

/** The close that follows says all there is to say. */
function forget(): void {}
