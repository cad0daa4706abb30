import type { Server } from 'node:https';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

/**
 * The connections of a TLS listener whose handshake is not complete. Node emits them only as TCP sockets,
 * before it adds TLS.
 */
export class Handshakes {
  readonly #open = new Map<string, Socket>();

  /**
   * @param server not yet listening; all listeners that will handle its `secureConnection` must be added
   *   already
   */
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

  /** The TCP connection of a handshake; undefined if it has closed. */
  connectionOf(socket: TLSSocket): Socket | undefined {
    return this.#open.get(nameOf(socket));
  }

  /** Closes all of them. */
  cut(): void {
    for (const socket of this.#open.values()) socket.destroy();
  }
}

/** The two addresses of a connection, which are the same with and without TLS. */
function nameOf({ localAddress, localPort, remoteAddress, remotePort }: Socket): string {
  return `${localAddress} ${localPort} ${remoteAddress} ${remotePort}`;
}
