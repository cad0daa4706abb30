import type { Socket } from 'node:net';

/**
 * Tells when connections end. Node does not tell a response of it that waits behind another one of its connection, and a
 * listener of each request would be too many for one socket.
 */
export class Connections {
  readonly #watched = new WeakMap<Socket, Set<() => void>>();

  /**
   * @param gone called at most once, when the connection has ended
   * @returns watches no more
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
