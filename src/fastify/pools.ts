import { type buildConnector, type Dispatcher, Pool } from 'undici';
import type { PoolState, Upstream } from '../model/upstream.js';
import { Deadline } from '../proxy/upstream/deadline.js';
import { Interrupted, LONG_FULL, QUEUE_TIMEOUT } from '../proxy/upstream/interrupted.js';
import { Queue } from '../proxy/upstream/queue.js';
import { serverConnector, type UpstreamTls } from '../tls/connector.js';

/** How connections to upstreams are opened and shared. Times are in milliseconds; 0 means no limit. */
export interface PoolsOptions {
  readonly connectTimeout: number;
  /** The most short exchanges with one upstream at the same time. */
  readonly connections: number;
  /** The most long exchanges with one upstream at the same time, in addition to the short ones. */
  readonly longExchanges: number;
  /** How long a request waits for a free place. */
  readonly queueTimeout: number;
  /** The largest response head, in bytes. */
  readonly maxResponseHeaderBytes: number;
  /** The TLS options for an upstream, by its origin. */
  readonly tlsOf: (origin: string) => UpstreamTls;
}

/** The place that one exchange takes in the pool of its upstream. */
export interface Place {
  readonly dispatcher: Dispatcher;
  /**
   * Makes the exchange a long one.
   *
   * @returns false if there is no room for one more
   */
  lasts(): boolean;
  /** Frees the place at the end of the exchange. */
  release(): void;
}

/** One undici pool for each upstream, with a limit on its exchanges. */
export class Pools {
  readonly #options: PoolsOptions;
  readonly #pools = new Map<string, BoundedPool>();

  constructor(options: PoolsOptions) {
    this.#options = options;
  }

  of({ origin }: Upstream): BoundedPool {
    let pool = this.#pools.get(origin);
    if (pool === undefined) {
      pool = new BoundedPool(origin, this.#options);
      this.#pools.set(origin, pool);
    }
    return pool;
  }

  states(): PoolState[] {
    return [...this.#pools.values()].map(({ state }) => state);
  }

  /** Closes every connection and ends the exchanges on it. */
  async close(): Promise<void> {
    await Promise.all([...this.#pools.values()].map((pool) => pool.close()));
  }
}

/** The error code for a reset by the upstream, instead of Node's `ECONNRESET`. */
const RESET = 'upstream_reset';

/**
 * Hides resets from undici. If only the end of the connection marks the end of a response, undici takes a
 * reset for that end, and the client would take the truncated response for a complete one.
 */
function telling(connect: buildConnector.connector): buildConnector.connector {
  return (options, callback) =>
    connect(options, (...[error, socket]: Parameters<buildConnector.Callback>) => {
      socket?.prependListener('error', (cause: NodeJS.ErrnoException) => {
        if (cause.code === 'ECONNRESET') cause.code = RESET;
      });
      if (error === null) callback(null, socket);
      else callback(error, null);
    });
}

/**
 * The connections to one upstream. Long exchanges have their own limit, so that they do not block short ones.
 */
export class BoundedPool {
  readonly #origin: string;
  readonly #options: PoolsOptions;
  readonly #pool: Pool;
  readonly #queue = new Queue<(place: Place) => void>();
  #short = 0;
  #long = 0;
  #turnedAway = 0;

  constructor(origin: string, options: PoolsOptions) {
    const { identity, verify } = options.tlsOf(origin);
    this.#origin = origin;
    this.#options = options;
    this.#pool = new Pool(origin, {
      connections: options.connections + options.longExchanges,
      pipelining: 1,
      allowH2: false,
      maxHeaderSize: options.maxResponseHeaderBytes,
      strictContentLength: true,
      connect: telling(serverConnector(identity, options.connectTimeout, verify)),
    });
  }

  get state(): PoolState {
    return {
      origin: this.#origin,
      open: this.#pool.stats.connected,
      busy: this.#short,
      long: this.#long,
      waiting: this.#queue.size,
      turnedAway: this.#turnedAway,
    };
  }

  /**
   * Takes a place, now or as soon as one is free.
   *
   * @param long whether the exchange is a long one from the start
   * @param late called if no place was free in time
   * @returns a function that stops waiting
   * @throws Interrupted if the exchange is a long one and there is no room for it
   */
  take(long: boolean, taken: (place: Place) => void, late: (error: Error) => void): () => void {
    if (long) {
      if (this.#long >= this.#options.longExchanges) throw this.full(LONG_FULL);
      this.#long++;
      taken(this.#place(true));
      return () => {};
    }
    if (this.#short < this.#options.connections) {
      this.#short++;
      taken(this.#place(false));
      return () => {};
    }
    const leave = this.#queue.add((place) => {
      deadline.end();
      taken(place);
    });
    const deadline = new Deadline(() => {
      leave();
      late(this.full(QUEUE_TIMEOUT));
    });
    deadline.wait(this.#options.queueTimeout);
    return () => {
      deadline.end();
      leave();
    };
  }

  async close(): Promise<void> {
    await this.#pool.destroy(new Interrupted('closed'));
  }

  /**
   * Counts a request that got no place.
   *
   * @param code the error code
   * @returns the error for it
   */
  full(code: string): Interrupted {
    this.#turnedAway++;
    return new Interrupted(code);
  }

  #place(long: boolean): Place {
    let isLong = long;
    let isTaken = true;
    return {
      dispatcher: this.#pool,
      lasts: () => {
        if (isLong || !isTaken) return isLong;
        if (this.#long >= this.#options.longExchanges) return false;
        this.#long++;
        isLong = true;
        this.#freeShort();
        return true;
      },
      release: () => {
        if (!isTaken) return;
        isTaken = false;
        if (isLong) this.#long--;
        else this.#freeShort();
      },
    };
  }

  /** Gives the place to the request that has waited longest. */
  #freeShort(): void {
    const next = this.#queue.take();
    if (next === undefined) this.#short--;
    else next(this.#place(false));
  }
}
