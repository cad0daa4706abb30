import type { Socket } from 'node:net';

/**
 * Watches for the end of connections. Node does not report it to a response that waits behind another one on
 * the same connection. One listener for each request would be too many for one socket.
 */
export class Connections {
  readonly #watched = new WeakMap<Socket, Set<() => void>>();

  /**
   * @param gone called at most once, when the connection has ended
   * @returns a function that stops watching
   */
  watch(socket: Socket, gone: () => void): () => void {
    let requests = this.#watched.get(socket);
    if (requests === undefined) {
      const all = new Set<() => void>();
      requests = all;
      this.#watched.set(socket, all);
      socket.once('close', () => {
        for (const each of all) each();
      });
    }
    requests.add(gone);
    return () => requests.delete(gone);
  }
}
