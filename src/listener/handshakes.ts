import type { Server } from 'node:https';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

/** The connections of a TLS listener whose handshake is not done. Node shows them only before TLS is put on top. */
export class Handshakes {
  readonly #open = new Map<string, Socket>();

  /** @param server not yet listening, and with all listeners that take `secureConnection` from it in place */
  constructor(server: Server) {
    server.on('connection', (socket: Socket) => {
      const name = nameOf(socket);
      this.#open.set(name, socket);
      socket.once('close', () => {
        if (this.#open.get(name) === socket) this.#open.delete(name);
      });
    });
    server.on('secureConnection', (socket) => this.#open.delete(nameOf(socket)));
  }

  /** The connection that a handshake is going on. Undefined if it has ended. */
  connectionOf(socket: TLSSocket): Socket | undefined {
    return this.#open.get(nameOf(socket));
  }

  /** Ends all of them. */
  cut(): void {
    for (const socket of this.#open.values()) socket.destroy();
  }
}

/** The two ends of a connection, which are the same with and without TLS on top. */
function nameOf({ localAddress, localPort, remoteAddress, remotePort }: Socket): string {
  return `${localAddress} ${localPort} ${remoteAddress} ${remotePort}`;
}
