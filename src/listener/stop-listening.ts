import type { Server as HttpServer } from 'node:http';
import type { Server as TlsServer } from 'node:https';
import { type Server, type Socket, Server as TcpServer } from 'node:net';

/** Stops a listener in two steps, so that no client loses a request. */
export interface Stop {
  /**
   * Accepts no new connection from now on. Open connections stay open for a while: a client may already have
   * sent a request on a connection that was idle when the drain began.
   *
   * @param grace milliseconds
   * @returns resolves when that time is over, or no connection is open any more
   */
  listening(grace: number): Promise<void>;
  /** Resolves when the last connection is closed. */
  closed(): Promise<void>;
}

/**
 * Prepares to stop a listener.
 *
 * @param server not yet listening
 */
export function prepareStop(server: HttpServer | TlsServer): Stop {
  let open = 0;
  let onEmpty = (): void => {};
  server.on('connection', (socket: Socket) => {
    open++;
    socket.once('close', () => {
      if (--open === 0) onEmpty();
    });
  });
  let closed: Promise<void> = Promise.resolve();
  return {
    async listening(grace) {
      closed = new Promise((resolve) => {
        // Not `server.close()`: since Node 19 it closes every idle connection at once.
        TcpServer.prototype.close.call(server as Server, () => resolve());
      });
      if (open === 0 || grace === 0) return;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, grace);
        onEmpty = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    },
    closed: () => closed,
  };
}
