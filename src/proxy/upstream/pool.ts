import type { Socket } from 'node:net';
import type { buildConnector } from 'undici';
import type { PoolState } from '../../model/upstream.js';
import type {
  CreateUpstreamClient,
  ResponseReader,
  UpstreamClient,
  UpstreamClientOptions,
} from './client.js';
import { Connection, type Owner } from './connection.js';
import { HEAD_TIMEOUT, Interrupted, LONG_FULL, QUEUE_TIMEOUT } from './interrupted.js';
import { Queue } from './queue.js';
import { type UpstreamRequest, writeHead } from './request-head.js';

/** The options of a pool. */
export interface PoolOptions extends Omit<UpstreamClientOptions, 'connector'> {
  /** Opens a connection; its socket reads as {@link READING} says. */
  readonly connect: buildConnector.connector;
}

/** The property of a socket that holds its connection. */
const CONNECTION = Symbol('connection');

interface Owned extends Socket {
  [CONNECTION]?: Connection;
}

/** The most bytes of one read. */
const READ_BYTES = 65_536;

/**
 * How the sockets of pools read: all into the same memory, without a stream. This is safe because each read
 * is processed completely before the next one.
 */
export const READING = {
  buffer: Buffer.allocUnsafeSlow(READ_BYTES),
  callback(this: unknown, count: number, buffer: Uint8Array): boolean {
    const connection = (this as Owned)[CONNECTION];
    if (connection === undefined) {
      // No request was sent on this socket yet, so the bytes are unsolicited.
      (this as Owned).destroy();
      return false;
    }
    return connection.read((buffer as Buffer).subarray(0, count));
  },
};

/** Makes a {@link Pool}. */
export const createPool: CreateUpstreamClient = ({ connector, ...options }) =>
  new Pool({ ...options, connect: connector(READING) });

/**
 * The connections to one upstream: a limited number, kept open between requests, with a queue of waiting
 * requests.
 *
 * Long exchanges have a limit of their own. If they were counted with the others, a client that opens enough
 * of them (event streams, slow uploads, responses that it does not read) would block the upstream for all
 * clients.
 */
export class Pool implements UpstreamClient, Owner {
  readonly #options: PoolOptions;
  readonly #target: buildConnector.Options;
  readonly #open = new Set<Connection>();
  /** The connection used last is reused first, so that the others can time out. */
  readonly #idle: Connection[] = [];
  readonly #queue = new Queue<Entry>();
  /** The connections with a long exchange. */
  readonly #long = new Set<Connection>();
  /** The connections that are being opened: for the queue, and for long exchanges. */
  #connecting = 0;
  #connectingLong = 0;
  #turnedAway = 0;
  #closed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
    const { protocol, hostname, host, port } = new URL(options.origin);
    this.#target = {
      protocol,
      // URLs write an IPv6 address in brackets; sockets need it without.
      hostname: hostname.replace(/^\[(.*)\]$/, '$1'),
      host,
      port,
    };
  }

  /** The current state of the pool. */
  get state(): PoolState {
    return {
      origin: this.#options.origin,
      open: this.#open.size,
      busy: this.#open.size - this.#idle.length - this.#long.size,
      long: this.#long.size,
      waiting: this.#queue.size,
      turnedAway: this.#turnedAway,
    };
  }

  /**
   * Sends a request as soon as a connection is free.
   *
   * @param long whether the exchange is long from the start
   * @throws UnsendableRequest
   * @throws Interrupted if the exchange is long and there is no room for it
   */
  dispatch(request: UpstreamRequest, reader: ResponseReader, long = false): void {
    if (this.#closed) throw new Interrupted('closed');
    const head = writeHead(request);
    if (long && !this.#hasRoomForLong()) {
      this.#turnedAway++;
      throw new Interrupted(LONG_FULL);
    }
    for (let connection = this.#idle.pop(); connection !== undefined; connection = this.#idle.pop()) {
      if (!connection.usable) continue;
      if (long) this.#long.add(connection);
      connection.send(head, request, reader, false);
      return;
    }
    const entry = { head, outgoing: request, reader, again: false };
    if (long) this.#connectLong(entry);
    else this.#wait(entry);
  }

  lasts(connection: Connection): boolean {
    if (this.#long.has(connection)) return true;
    if (!this.#hasRoomForLong()) return false;
    this.#long.add(connection);
    // Its place among the short exchanges is now free.
    this.#refill();
    return true;
  }

  turnedAway(): void {
    this.#turnedAway++;
  }

  #hasRoomForLong(): boolean {
    return this.#long.size + this.#connectingLong < this.#options.longExchanges;
  }

  again(head: string, request: UpstreamRequest, reader: ResponseReader): void {
    if (this.#closed) reader.onError(new Interrupted('closed'));
    else this.#wait({ head, outgoing: request, reader, again: true });
  }

  #wait(entry: Entry): void {
    const cancel = this.#queue.add(entry);
    this.#refill();
    const crowded = this.#queue.size > this.#connecting;
    const late = (): Interrupted => {
      if (!crowded) return new Interrupted(HEAD_TIMEOUT);
      this.#turnedAway++;
      return new Interrupted(QUEUE_TIMEOUT);
    };
    const { queueTimeout } = this.#options;
    entry.reader.onWait({ cancel, late }, crowded ? queueTimeout : entry.outgoing.timeout);
  }

  /** Closes every connection and ends the exchanges on them. */
  close(): void {
    this.#closed = true;
    for (let entry = this.#queue.take(); entry !== undefined; entry = this.#queue.take())
      entry.reader.onError(new Interrupted('closed'));
    for (const connection of this.#open) connection.abort(new Interrupted('closed'));
  }

  free(connection: Connection): void {
    // After a long exchange, this connection may exceed the limit for short ones.
    if (this.#long.delete(connection) && this.#places < 0) {
      connection.close();
      return;
    }
    const entry = this.#queue.take();
    if (entry === undefined) this.#idle.push(connection);
    else this.#send(connection, entry);
  }

  #send(connection: Connection, { head, outgoing: request, reader, again }: Entry): void {
    try {
      connection.send(head, request, reader, again);
    } catch (error) {
      // This runs in an event of another exchange, which the exception must not reach.
      connection.abort(error as Error);
    }
  }

  /** How many more connections may be opened for short exchanges. */
  get #places(): number {
    return this.#options.connections - (this.#open.size - this.#long.size) - this.#connecting;
  }

  gone(connection: Connection): void {
    this.#open.delete(connection);
    this.#long.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at !== -1) this.#idle.splice(at, 1);
    this.#refill();
  }

  /** Opens one more connection if requests wait and the limit allows it. */
  #refill(): void {
    if (this.#queue.size <= this.#connecting || this.#places <= 0) return;
    this.#connecting++;
    this.#connect((error, connection) => {
      this.#connecting--;
      if (connection === undefined) this.#failed(error as Error);
      else this.free(connection);
    });
  }

  /** Opens a connection for one long exchange. */
  #connectLong(entry: Entry): void {
    let wanted = true;
    const cancel = (): void => {
      wanted = false;
    };
    this.#connectingLong++;
    this.#connect((error, connection) => {
      this.#connectingLong--;
      if (connection === undefined) {
        if (wanted) entry.reader.onError(error as Error);
        return;
      }
      this.#long.add(connection);
      if (wanted) this.#send(connection, entry);
      else this.free(connection);
    });
    entry.reader.onWait({ cancel, late: () => new Interrupted(HEAD_TIMEOUT) }, entry.outgoing.timeout);
  }

  /**
   * @param opened called with either an error or the connection; not synchronously, and never if the pool is
   *   closed
   */
  #connect(opened: (error: Error | null, connection: Connection | undefined) => void): void {
    this.#options.connect(this.#target, (error, socket) => {
      if (error !== null) {
        opened(error, undefined);
        return;
      }
      if (this.#closed) {
        socket.destroy();
        return;
      }
      const connection = new Connection(socket, this.#options, this);
      (socket as Owned)[CONNECTION] = connection;
      this.#open.add(connection);
      opened(null, connection);
    });
  }

  /** Reports the failure to the request that has waited longest; the others get another attempt. */
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
  /** Whether it was sent before. */
  readonly again: boolean;
}
