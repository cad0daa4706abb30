import type { Endpoint } from '../../model/authorization-server.js';
import type { Clock } from '../../model/clock.js';
import type { Answer, ServerState } from '../../model/introspection.js';
import { within } from '../../model/within.js';
import { CircuitBreaker, type CircuitBreakerChange, type CircuitBreakerLimits } from './circuit-breaker.js';
import { CallFailed } from './errors.js';
import type { Confirmation, ReadinessChecks } from './readiness.js';
import { Semaphore } from './semaphore.js';

/** Limits for each authorization server; times in milliseconds. */
export interface CallLimits {
  /** For one answer: waiting, the call, and the readiness check after it. */
  readonly timeout: number;
  readonly concurrency: number;
  readonly queue: number;
  readonly breaker: CircuitBreakerLimits;
}

/** Makes one introspection call; {@link IntrospectionClient} does so over HTTP. */
export interface Caller {
  /**
   * @param signal aborts the call at its deadline
   * @throws CallFailed if there is no usable answer
   */
  call(endpoint: Endpoint, token: string, signal: AbortSignal): Promise<Answer>;
}

/** Why there is no answer. */
export interface Failure {
  readonly cause: string;
  /** The same as one word, for the audit line. */
  readonly code?: string | undefined;
  /** Milliseconds that the client should wait before it tries again. */
  readonly retryAfter: number;
  /** Set if the server works and only this token's answer is unusable. */
  readonly alive?: true;
}

/** The parts of {@link ServerCalls}. */
export interface ServerCallsOptions {
  readonly client: Caller;
  readonly limits: CallLimits;
  readonly clock: Clock;
  /** If undefined, every inactive answer counts. */
  readonly readiness: ReadinessChecks | undefined;
  /** Called for every failed call; the cause holds no token. */
  readonly onFailure: (endpoint: Endpoint, cause: string) => void;
  /** Called when the circuit breaker of a server opens, and when it closes. */
  readonly onBreaker?: ((url: string, change: CircuitBreakerChange) => void) | undefined;
}

interface Server {
  readonly breaker: CircuitBreaker;
  readonly semaphore: Semaphore;
}

/** The calls to authorization servers. Each server has a circuit breaker, a semaphore and a queue. */
export class ServerCalls {
  readonly #options: ServerCallsOptions;
  readonly #servers = new Map<string, Server>();

  constructor(options: ServerCallsOptions) {
    this.#options = options;
  }

  /**
   * Calls the server, within the timeout.
   *
   * @param wasActive whether the token was active before and has not expired; called for an inactive answer
   */
  async call(endpoint: Endpoint, token: string, wasActive: () => boolean): Promise<Answer | Failure> {
    const { breaker, semaphore } = this.#of(endpoint);
    if (semaphore.full) return QUEUE_FULL;
    const permit = breaker.admit();
    if (typeof permit === 'number') return breakerOpen(permit);
    const { client, clock, limits } = this.#options;
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(), endpoint.retry?.giveUpAfter ?? limits.timeout);
    try {
      try {
        await semaphore.acquire(deadline.signal);
      } catch {
        permit.released();
        return {
          cause: 'waiting for introspection took too long',
          code: 'queue_timeout',
          retryAfter: 1000,
        };
      }
      const asked = clock.monotonic();
      let answer: Answer;
      try {
        answer = await client.call(endpoint, token, deadline.signal);
        permit.succeeded();
      } catch (error) {
        const failed = error instanceof CallFailed ? error : new CallFailed('the introspection call failed');
        if (failed.alive) permit.succeeded();
        else if (failed.unasked) permit.released();
        else permit.failed(failed.retryAfter);
        return this.#failure(endpoint, failed);
      } finally {
        // A readiness check must not hold up the calls about other tokens.
        semaphore.release();
      }
      if (answer.active) return answer;
      const confirmed = await this.#confirm(endpoint, asked, wasActive, deadline.signal);
      // The breaker does not count it: otherwise somebody with invalid tokens could block all others while
      // only the readiness URL fails.
      return confirmed.ok
        ? answer
        : this.#failure(endpoint, {
            message: `the authorization server said inactive and is not ready: ${confirmed.cause}`,
            retryAfter: confirmed.retryAfter,
            alive: false,
            code: 'not_ready',
          });
    } finally {
      clearTimeout(timer);
    }
  }

  /** Why a server must not be called now; undefined if it may be called. */
  blockedBy(endpoint: Endpoint): Failure | undefined {
    const { semaphore, breaker } = this.#of(endpoint);
    if (semaphore.full) return QUEUE_FULL;
    const { wait } = breaker;
    return wait > 0 ? breakerOpen(wait) : undefined;
  }

  /** Whether the server works and a further call would not wait. */
  hasRoom(endpoint: Endpoint): boolean {
    const { breaker, semaphore } = this.#of(endpoint);
    return breaker.state === 'closed' && semaphore.free;
  }

  /** The state of each authorization server that was called so far. */
  get states(): ServerState[] {
    return [...this.#servers].map(([url, { breaker, semaphore }]) => ({
      url,
      breaker: breaker.state,
      ...semaphore.load,
    }));
  }

  #of(endpoint: Endpoint): Server {
    let server = this.#servers.get(endpoint.url);
    if (server === undefined) {
      const { limits, clock, onBreaker } = this.#options;
      const { url } = endpoint;
      server = {
        breaker: new CircuitBreaker(limits.breaker, clock, (change) => onBreaker?.(url, change)),
        semaphore: new Semaphore(limits.concurrency, limits.queue),
      };
      this.#servers.set(endpoint.url, server);
    }
    return server;
  }

  async #confirm(
    endpoint: Endpoint,
    asked: number,
    wasActive: () => boolean,
    signal: AbortSignal,
  ): Promise<Confirmation> {
    const { readiness: checks } = this.#options;
    const { readiness } = endpoint;
    if (checks === undefined || readiness === undefined) return { ok: true };
    try {
      return await within(signal, checks.confirm({ ...endpoint, readiness }, asked, wasActive()));
    } catch {
      return { ok: false, cause: 'its readiness check took too long', retryAfter: 1000 };
    }
  }

  #failure(
    endpoint: Endpoint,
    { message, code, retryAfter, alive }: Pick<CallFailed, 'message' | 'code' | 'retryAfter' | 'alive'>,
  ): Failure {
    this.#options.onFailure(endpoint, message);
    return { cause: message, code, retryAfter, ...(alive ? { alive } : {}) };
  }
}

/** The queue is scopegate's own, so a full one must not count as a failure of the server. */
const QUEUE_FULL: Failure = {
  cause: 'too many introspection calls are waiting',
  code: 'queue_full',
  retryAfter: 1000,
};

/** @param wait milliseconds until the breaker lets a call through */
function breakerOpen(wait: number): Failure {
  return { cause: 'the circuit breaker is open', code: 'breaker_open', retryAfter: wait };
}
