import { type buildConnector, type Dispatcher, Pool } from 'undici';
import type { PoolState, Upstream } from '../model/upstream.js';
import { Deadline } from '../proxy/upstream/deadline.js';
import { Interrupted, LONG_FULL, QUEUE_TIMEOUT } from '../proxy/upstream/interrupted.js';
import { Queue } from '../proxy/upstream/queue.js';
import { serverConnector, type UpstreamTls } from '../tls/connector.js';

/** How connections to upstreams are made and shared; times in milliseconds, 0 means no limit. */
export interface PoolsOptions {
  readonly connectTimeout: number;
  /** Exchanges with one upstream that are soon over. */
  readonly connections: number;
  /** Exchanges with one upstream that last, beside those. */
  readonly longExchanges: number;
  /** How long a request waits while there are as many exchanges as there may be. */
  readonly queueTimeout: number;
  /** The largest head of a response, in bytes. */
  readonly maxResponseHeaderBytes: number;
  /** By the origin of the upstream. */
  readonly tlsOf: (origin: string) => UpstreamTls;
}

/** The place of one exchange among those with its upstream. */
export interface Place {
  readonly dispatcher: Dispatcher;
  /** The exchange is one that lasts from now on. @returns false if there is no room for one more of these */
  lasts(): boolean;
  /** The exchange is over. */
  release(): void;
}

/** One undici pool for each upstream, and how many exchanges each may have. */
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

  /** Ends every connection, and what is under way on it. */
  async close(): Promise<void> {
    await Promise.all([...this.#pools.values()].map((pool) => pool.close()));
  }
}

/** A reset by the upstream, in place of Node's `ECONNRESET`. */
const RESET = 'upstream_reset';

/**
 * undici takes a reset for the end of a response that only the connection's end frames. The client would take what is
 * cut off for whole, so undici must not know it as a reset.
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

/** The connections to one upstream. Exchanges that last have a bound of their own, so that they take nobody's place. */
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
   * @param long whether the exchange lasts from the beginning
   * @param late called if it took too long
   * @returns waits no more
   * @throws Interrupted if it lasts and there is no room for it
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

  /** There is no room for one more exchange. @param code why */
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

  /** Whoever has waited longest takes the place. */
  #freeShort(): void {
    const next = this.#queue.take();
    if (next === undefined) this.#short--;
    else next(this.#place(false));
  }
}
