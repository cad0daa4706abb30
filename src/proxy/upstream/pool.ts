import type { Socket } from 'node:net';
import type { buildConnector } from 'undici';
import {
  Connection,
  Interrupted,
  type Owner,
  type ResponseLimits,
  type ResponseReader,
} from './connection.js';
import { Queue } from './queue.js';
import { type UpstreamRequest, writeHead } from './request-head.js';

/** How a pool is made; times in milliseconds. */
export interface PoolOptions extends ResponseLimits {
  /** `http://name:port` or `https://name:port`. */
  readonly origin: string;
  /** The most connections at once. */
  readonly connections: number;
  /** Opens one; its sockets read by {@link READING}. */
  readonly connect: buildConnector.connector;
}

/** The connection a socket is the socket of. */
const CONNECTION = Symbol('connection');

interface Owned extends Socket {
  [CONNECTION]?: Connection;
}

/** Bytes that one read may bring. */
const READ_BYTES = 65_536;

/**
 * How sockets of pools read: all into the same memory, without a stream between. What is read is dealt with before
 * anything else is read.
 */
export const READING = {
  buffer: Buffer.allocUnsafeSlow(READ_BYTES),
  callback(this: unknown, count: number, buffer: Uint8Array): boolean {
    const connection = (this as Owned)[CONNECTION];
    if (connection === undefined) {
      // Nobody has been asked anything yet.
      (this as Owned).destroy();
      return false;
    }
    return connection.read((buffer as Buffer).subarray(0, count));
  },
};

/** The connections to one upstream: kept open between requests, a bounded number of them, a queue before them. */
export class Pool implements Owner {
  readonly #options: PoolOptions;
  readonly #target: buildConnector.Options;
  readonly #open = new Set<Connection>();
  /** The last one used is the first to be used again: the others may end. */
  readonly #idle: Connection[] = [];
  readonly #queue = new Queue<Entry>();
  #connecting = 0;
  #closed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
    const { protocol, hostname, host, port } = new URL(options.origin);
    this.#target = {
      protocol,
      // undici takes an IPv6 address as URLs write it; sockets do not.
      hostname: hostname.replace(/^\[(.*)\]$/, '$1'),
      host,
      port,
    };
  }

  /**
   * Sends a request as soon as a connection is free.
   *
   * @throws UnsendableRequest
   */
  dispatch(request: UpstreamRequest, reader: ResponseReader): void {
    if (this.#closed) throw new Interrupted('closed');
    const head = writeHead(request);
    for (let connection = this.#idle.pop(); connection !== undefined; connection = this.#idle.pop()) {
      if (!connection.usable) continue;
      connection.send(head, request, reader, false);
      return;
    }
    this.#wait({ head, outgoing: request, reader, again: false });
  }

  again(head: string, request: UpstreamRequest, reader: ResponseReader): void {
    if (this.#closed) reader.onError(new Interrupted('closed'));
    else this.#wait({ head, outgoing: request, reader, again: true });
  }

  #wait(entry: Entry): void {
    entry.reader.onWait({ cancel: this.#queue.add(entry) }, entry.outgoing.timeout);
    this.#refill();
  }

  /** Ends every connection, and what is under way on it. */
  close(): void {
    this.#closed = true;
    for (let entry = this.#queue.take(); entry !== undefined; entry = this.#queue.take())
      entry.reader.onError(new Interrupted('closed'));
    for (const connection of this.#open) connection.abort(new Interrupted('closed'));
  }

  free(connection: Connection): void {
    const entry = this.#queue.take();
    if (entry === undefined) {
      this.#idle.push(connection);
      return;
    }
    try {
      connection.send(entry.head, entry.outgoing, entry.reader, entry.again);
    } catch (error) {
      // Called from an event of another exchange, which must not hear of it.
      connection.abort(error as Error);
    }
  }

  gone(connection: Connection): void {
    this.#open.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at !== -1) this.#idle.splice(at, 1);
    this.#refill();
  }

  /** Whoever waits may have a connection of his own, where there may be one more. */
  #refill(): void {
    const { connections } = this.#options;
    if (this.#queue.size > this.#connecting && this.#open.size + this.#connecting < connections)
      this.#connect();
  }

  #connect(): void {
    this.#connecting++;
    this.#options.connect(this.#target, (error, socket) => {
      this.#connecting--;
      if (error !== null) {
        this.#failed(error);
        return;
      }
      if (this.#closed) {
        socket.destroy();
        return;
      }
      const connection = new Connection(socket, this.#options, this);
      (socket as Owned)[CONNECTION] = connection;
      this.#open.add(connection);
      this.free(connection);
    });
  }

  /** Whoever has waited longest is told; the others get another attempt. */
  #failed(error: Error): void {
    this.#queue.take()?.reader.onError(error);
    this.#refill();
  }
}

/** A request that waits for a connection. */
interface Entry {
  readonly head: string;
  readonly outgoing: UpstreamRequest;
  readonly reader: ResponseReader;
  /** Whether it was sent already. */
  readonly again: boolean;
}
