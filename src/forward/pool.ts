import type { Socket } from 'node:net';
import type { buildConnector } from 'undici';
import {
  type AnswerLimits,
  type AnswerReader,
  Connection,
  Interrupted,
  type Owner,
  type Waiting,
} from './connection.js';
import { type Outgoing, writeHead } from './outgoing.js';

/** How a pool is made; times in milliseconds. */
export interface PoolOptions extends AnswerLimits {
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
  readonly #queue = new Set<Entry>();
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
   * @throws Unsendable
   */
  dispatch(outgoing: Outgoing, reader: AnswerReader): void {
    if (this.#closed) throw new Interrupted('closed');
    const head = writeHead(outgoing);
    for (let connection = this.#idle.pop(); connection !== undefined; connection = this.#idle.pop()) {
      if (!connection.usable) continue;
      connection.send(head, outgoing, reader, false);
      return;
    }
    this.#wait(new Entry(head, outgoing, reader, false, this.#queue));
  }

  again(head: string, outgoing: Outgoing, reader: AnswerReader): void {
    if (this.#closed) reader.onError(new Interrupted('closed'));
    else this.#wait(new Entry(head, outgoing, reader, true, this.#queue));
  }

  #wait(entry: Entry): void {
    this.#queue.add(entry);
    entry.reader.onWait(entry, entry.outgoing.timeout);
    this.#refill();
  }

  /** Ends every connection, and what is under way on it. */
  close(): void {
    this.#closed = true;
    for (const { reader } of this.#queue) reader.onError(new Interrupted('closed'));
    this.#queue.clear();
    for (const connection of this.#open) connection.abort(new Interrupted('closed'));
  }

  free(connection: Connection): void {
    const entry = this.#next();
    if (entry === undefined) this.#idle.push(connection);
    else connection.send(entry.head, entry.outgoing, entry.reader, entry.again);
  }

  gone(connection: Connection): void {
    this.#open.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at !== -1) this.#idle.splice(at, 1);
    this.#refill();
  }

  /** Whoever has waited longest; he waits no more. */
  #next(): Entry | undefined {
    const [entry] = this.#queue;
    if (entry !== undefined) this.#queue.delete(entry);
    return entry;
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
    this.#next()?.reader.onError(error);
    this.#refill();
  }
}

class Entry implements Waiting {
  readonly head: string;
  readonly outgoing: Outgoing;
  readonly reader: AnswerReader;
  /** Whether it was sent already. */
  readonly again: boolean;
  readonly #queue: Set<Entry>;

  constructor(head: string, outgoing: Outgoing, reader: AnswerReader, again: boolean, queue: Set<Entry>) {
    this.again = again;
    this.head = head;
    this.outgoing = outgoing;
    this.reader = reader;
    this.#queue = queue;
  }

  cancel(): void {
    this.#queue.delete(this);
  }
}
