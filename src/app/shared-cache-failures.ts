import type { Logger } from 'pino';
import type { SharedCacheState } from '../admin/shared-cache-trouble.js';
import type { Clock } from '../model/clock.js';
import type { Metrics } from '../observe/metric-events.js';

/** Milliseconds between two warnings about the shared cache. */
const WARN_EVERY = 60_000;
/**
 * Milliseconds without a failure after which the shared cache works again. It is longer than a circuit breaker
 * of a store's server stays open, because other servers of a cluster may work meanwhile.
 */
const QUIET = 10_000;

/** The failures since the shared cache worked. */
interface Spell {
  /** The first and the last failure, in monotonic milliseconds. */
  readonly since: number;
  last: number;
  /** The same in seconds since 1970. */
  readonly sinceWall: number;
  lastWall: number;
  failures: number;
  cause: string;
  /** Whether a command has succeeded since the last failure. */
  succeeded: boolean;
}

/**
 * Counts failures of the shared cache. At the usual log level, it writes at most one line a minute about
 * them, and one when the shared cache works again.
 */
export class SharedCacheFailures {
  readonly #metrics: Pick<Metrics, 'sharedCacheFailed'>;
  readonly #clock: Clock;
  readonly #log: Pick<Logger, 'debug' | 'info' | 'warn'>;
  #unsaid = 0;
  #next = Number.NEGATIVE_INFINITY;
  /** Undefined while it works. */
  #failing: Spell | undefined;
  #closed = false;

  constructor(
    metrics: Pick<Metrics, 'sharedCacheFailed'>,
    clock: Clock,
    log: Pick<Logger, 'debug' | 'info' | 'warn'>,
  ) {
    this.#metrics = metrics;
    this.#clock = clock;
    this.#log = log;
  }

  /** @param cause a code; it holds no data from the store */
  failed(cause: string): void {
    if (this.#closed) return;
    this.#metrics.sharedCacheFailed();
    this.#log.debug({ cause }, 'shared cache failed');
    this.#unsaid++;
    const now = this.#clock.monotonic();
    const wall = this.#clock.wall();
    const { since, sinceWall, failures } = this.#failing ?? { since: now, sinceWall: wall, failures: 0 };
    this.#failing = {
      ...{ since, sinceWall, last: now, lastWall: wall },
      ...{ failures: failures + 1, cause, succeeded: false },
    };
    if (now < this.#next) return;
    this.#log.warn(
      { cause, failures: this.#unsaid },
      'the shared cache fails: scopegate asks the authorization server instead',
    );
    this.#unsaid = 0;
    this.#next = now + WARN_EVERY;
  }

  /** A command succeeded. */
  succeeded(): void {
    if (this.#failing === undefined) return;
    const { since, last } = this.#failing;
    this.#failing.succeeded = true;
    if (this.#clock.monotonic() - last < QUIET) return;
    this.#failing = undefined;
    // If it fails again, the log says so at once.
    this.#next = Number.NEGATIVE_INFINITY;
    this.#log.info({ lastedMs: Math.round(last - since) }, 'the shared cache works again');
  }

  /**
   * What to tell of it. One slow command is no outage: as soon as commands succeed again, it is degraded, and it
   * works when none has failed for ten seconds.
   */
  state(): SharedCacheState | undefined {
    if (this.#failing === undefined) return undefined;
    const { succeeded, failures, cause, last, sinceWall, lastWall } = this.#failing;
    if (succeeded && this.#clock.monotonic() - last >= QUIET) return undefined;
    const state = succeeded ? 'degraded' : 'failing';
    return { state, failures, cause, since: sinceWall, last: lastWall };
  }

  /** The gateway ends: what fails from now on is no failure of the store. */
  close(): void {
    this.#closed = true;
  }
}
