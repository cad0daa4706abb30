import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

/** An HTTP server of the stack that can be closed hard and opened again on the same port. */
export interface Listener {
  /** `http://host:port`, without a trailing slash. */
  readonly url: string;
  readonly port: number;
  /** Stops listening and destroys every connection. */
  close(): Promise<void>;
  /** Listens again on the port it had. */
  reopen(): Promise<void>;
}

/** A port that something else listens on, in words a newcomer can act on. */
export class PortTaken extends Error {
  readonly code = 'EADDRINUSE';
  constructor(what: string, host: string, port: number, how: string) {
    super(`${what} cannot listen on ${host}:${port}: the port is taken. ${how}`);
    this.name = 'PortTaken';
  }
}

/** Where to listen, and what to say when that does not work. */
export interface Place {
  /** What listens, for messages: `the HttpBin`. */
  readonly what: string;
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  /** How a person chooses another port, as a sentence. */
  readonly how?: string;
}

/**
 * Starts an HTTP server.
 *
 * @throws PortTaken when the port is in use
 */
export async function listen(place: Place, handle: RequestListener): Promise<Listener> {
  const { host } = place;
  let sockets = new Set<Socket>();
  let server = await open(place.port);
  const { port } = server.address() as AddressInfo;

  async function open(wanted: number): Promise<Server> {
    const opened = createServer({ keepAliveTimeout: 60_000 }, handle);
    const own = new Set<Socket>();
    opened.on('connection', (socket) => {
      own.add(socket);
      socket.once('close', () => own.delete(socket));
    });
    await new Promise<void>((resolve, reject) => {
      opened.once('error', (error: NodeJS.ErrnoException) => {
        const how = place.how ?? 'Choose another port, or 0 for a free one.';
        reject(error.code === 'EADDRINUSE' ? new PortTaken(place.what, host, wanted, how) : error);
      });
      opened.listen(wanted, host, resolve);
    });
    sockets = own;
    return opened;
  }

  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${port}`,
    port,
    async close() {
      if (!server.listening) return;
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
    async reopen() {
      if (!server.listening) server = await open(port);
    },
  };
}
