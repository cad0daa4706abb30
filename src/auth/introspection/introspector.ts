import { hash } from 'node:crypto';
import type { Endpoint } from '../../model/authorization-server.js';
import type { Clock } from '../../model/clock.js';
import type {
  Answer,
  Asker,
  Introspected,
  Introspector,
  Refreshes,
  ServerState,
} from '../../model/introspection.js';
import type { ClientAddressReader } from '../../parse/client-address.js';
import type { AnswerCache, Entry } from './cache.js';
import { CircuitBreaker, type CircuitBreakerLimits } from './circuit-breaker.js';
import { CallFailed } from './client.js';
import { authIdentity } from './client-auth.js';
import type { Invalidation } from './invalidation.js';
import type { UnknownTokenLimiter } from './rate-limit.js';
import { Semaphore } from './semaphore.js';
import type { SharedCache } from './shared-cache.js';

/** Limits towards each authorization server; times in milliseconds. */
export interface IntrospectorLimits {
  readonly timeout: number;
  readonly concurrency: number;
  readonly queue: number;
  readonly breaker: CircuitBreakerLimits;
}

/** Makes one call; {@link IntrospectionClient} is the one that speaks HTTP. */
export interface Caller {
  /**
   * @param signal the deadline
   * @throws CallFailed for anything but a usable answer
   */
  call(endpoint: Endpoint, token: string, signal: AbortSignal): Promise<Answer>;
}

/** A limit on what one client may ask; absent, there is none. */
export interface UnknownTokenLimit {
  readonly limiter: UnknownTokenLimiter;
  readonly addressOf: ClientAddressReader;
}

/** An introspector that can be looked at, and told to forget. */
export interface LocalIntrospector extends Required<Introspector> {
  /** The authorization servers that were asked so far. */
  servers(): ServerState[];
  /** Since the start. */
  readonly refreshes: Readonly<Refreshes>;
  /**
   * Forgets what is known of one token, whichever of the endpoints was asked about it, of all tokens with a claim, or
   * of all. Calls in flight were asked before that: what they bring is told to those who wait for it, and not kept.
   *
   * @returns how many answers were forgotten
   */
  forget(which: Invalidation): number;
  /**
   * What may be known of a token is under these keys, whichever of the endpoints was asked about it. Empty where it is no
   * single token that is to be forgotten.
   */
  keysOf(which: Invalidation): string[];
}

/** A cache behind this process's own. It never rejects, and never takes long. */
export type SecondTier = Pick<SharedCache, 'get' | 'set'>;

/** What one flight brings home to everybody who waits for it. */
type FlightResult = { readonly answer: Answer; readonly shared?: true } | Failure;

/** Why there is no answer. */
interface Failure {
  readonly cause: string;
  /** Milliseconds. */
  readonly retryAfter: number;
  /** The server is well: it choked on this token. */
  readonly alive?: true;
}

interface Server {
  readonly breaker: CircuitBreaker;
  readonly semaphore: Semaphore;
}

/** What an introspector is made of. */
export interface IntrospectorOptions {
  readonly client: Caller;
  /** Undefined turns caching off. */
  readonly cache: AnswerCache | undefined;
  readonly limits: IntrospectorLimits;
  readonly clock: Clock;
  /** Told of every failed call, for log and metrics; the cause holds no token. */
  readonly onFailure?: (endpoint: Endpoint, cause: string) => void;
  /** Absent: there is no limit to what a client may ask. */
  readonly unknownTokens?: UnknownTokenLimit | undefined;
  /** Absent: this process's cache is the only one. */
  readonly shared?: SecondTier | undefined;
}

/** Builds the introspector. */
export function createIntrospector({
  client,
  cache,
  limits,
  clock,
  onFailure = () => {},
  unknownTokens,
  shared,
}: IntrospectorOptions): LocalIntrospector {
  const flights = new Map<string, Promise<FlightResult>>();
  const servers = new Map<string, Server>();
  const prefixes = new WeakMap<Endpoint, string>();
  /** Every prefix a key was made with; as many as rule sets name endpoints. */
  const allPrefixes = new Set<string>();
  const refreshes: Refreshes = { active: 0, inactive: 0, failed: 0, shared: 0, skipped: 0 };

  /** SHA-256 over endpoint, credentials' identity and token (CVE-2026-33496): the token itself is kept nowhere. */
  function keyOf(endpoint: Endpoint, token: string): string {
    let prefix = prefixes.get(endpoint);
    if (prefix === undefined) {
      // JSON delimits the parts: no URL or field value can pretend to be another's end.
      const { url, auth, headers, signed } = endpoint;
      prefix = JSON.stringify([url, authIdentity(auth), Object.entries(headers), signed?.issuer]);
      prefixes.set(endpoint, prefix);
      allPrefixes.add(prefix);
    }
    return digest(prefix, token);
  }

  function keysOf(which: Invalidation): string[] {
    return which === 'all' || 'claim' in which
      ? []
      : [...allPrefixes].map((prefix) => digest(prefix, which.token));
  }

  function serverOf(endpoint: Endpoint): Server {
    let server = servers.get(endpoint.url);
    if (server === undefined) {
      server = {
        breaker: new CircuitBreaker(limits.breaker, clock),
        semaphore: new Semaphore(limits.concurrency, limits.queue),
      };
      servers.set(endpoint.url, server);
    }
    return server;
  }

  /**
   * @param least milliseconds that an answer of the second tier must have left to be of use
   * @param isKnown whether this is still the flight for its key: what it brings is kept only then
   */
  async function fly(
    endpoint: Endpoint,
    token: string,
    key: string,
    least: number,
    isKnown: () => boolean,
  ): Promise<FlightResult> {
    const { breaker, semaphore } = serverOf(endpoint);
    if (cache !== undefined && shared !== undefined) {
      const found = await shared.get(key, token);
      // What was found may be what has been revoked meanwhile.
      if (found !== undefined && found.life > least && isKnown()) {
        cache.set(key, found.answer, found.life);
        return { answer: found.answer, shared: true };
      }
    }
    if (semaphore.full) return CROWDED;
    const admission = breaker.admit();
    if (typeof admission === 'number') return broken(admission);
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(), limits.timeout);
    try {
      await semaphore.acquire(deadline.signal);
    } catch {
      admission.released();
      return { cause: 'waiting for introspection took too long', retryAfter: 1000 };
    }
    const asked = clock.wall() * 1000;
    try {
      const answer = await client.call(endpoint, token, deadline.signal);
      admission.succeeded();
      if (cache !== undefined && isKnown()) {
        const life = cache.set(key, answer);
        if (answer.active) shared?.set(key, token, answer, life, asked);
      }
      return { answer };
    } catch (error) {
      const failed = error instanceof CallFailed ? error : new CallFailed('the introspection call failed');
      if (failed.alive) admission.succeeded();
      else if (failed.unasked) admission.released();
      else admission.failed(failed.retryAfter);
      onFailure(endpoint, failed.message);
      const { message: cause, retryAfter } = failed;
      return failed.alive ? { cause, retryAfter, alive: true } : { cause, retryAfter };
    } finally {
      clearTimeout(timer);
      semaphore.release();
    }
  }

  /** Sets off, or says that the client must wait. */
  function launch(
    endpoint: Endpoint,
    token: string,
    key: string,
    asker: Asker | undefined,
    least: number,
  ): Promise<FlightResult> | Introspected {
    if (shared === undefined) {
      // Nobody would answer: a flood of such requests is turned away at the least cost.
      const barred = barrier(serverOf(endpoint));
      if (barred !== undefined) return unanswered(barred, 0, clock.monotonic());
    }
    const guarded = unknownTokens !== undefined && asker !== undefined;
    const refused = guarded ? limited(unknownTokens, asker) : undefined;
    if (refused !== undefined) return refused;
    // Another one may have set off since: what this one was asked is forgotten.
    const isKnown = () => flights.get(key) === flight;
    const flight: Promise<FlightResult> = fly(endpoint, token, key, least, isKnown);
    if (guarded) void settle(unknownTokens, asker, flight);
    flights.set(key, flight);
    const land = () => {
      if (isKnown()) flights.delete(key);
    };
    flight.then(land, land);
    return flight;
  }

  /**
   * Asks again for an answer that is in use and about to end; nobody waits for it. It gives way: where the server is in
   * trouble, all calls that it may get are in flight, or the client may not ask, a later hit may try again.
   */
  function refresh(
    endpoint: Endpoint,
    token: string,
    key: string,
    asker: Asker | undefined,
    entry: Entry,
    now: number,
  ): void {
    const { breaker, semaphore } = serverOf(endpoint);
    const flight =
      breaker.state === 'closed' && semaphore.free
        ? // What another gateway has is of use where it is not about to end as well.
          launch(endpoint, token, key, asker, cache?.refreshBefore ?? 0)
        : undefined;
    if (!(flight instanceof Promise)) {
      refreshes.skipped++;
      entry.refreshAt = now + PAUSE;
      return;
    }
    // Once: what fails lets the entry end as ever.
    entry.refreshAt = Number.POSITIVE_INFINITY;
    void flight.then((landing) => {
      if (!('answer' in landing)) refreshes.failed++;
      else if (landing.shared === true) refreshes.shared++;
      else refreshes[landing.answer.active ? 'active' : 'inactive']++;
    });
  }

  return {
    introspect(endpoint, token, asker) {
      const key = keyOf(endpoint, token);
      const started = clock.monotonic();
      const entry = cache?.find(key, started);
      if (entry !== undefined) {
        if (started >= entry.refreshAt && cache?.isDue(entry) === true) {
          refresh(endpoint, token, key, asker, entry, started);
        }
        return { ok: true, answer: entry.answer, trace: HIT };
      }
      const running = flights.get(key);
      const flight = running ?? launch(endpoint, token, key, asker, 0);
      if (!(flight instanceof Promise)) return flight;
      return flight.then((landing): Introspected => {
        const ms = clock.monotonic() - started;
        if ('answer' in landing) {
          return {
            ok: true,
            answer: landing.answer,
            trace: {
              from: running !== undefined ? 'coalesced' : landing.shared === true ? 'shared' : 'miss',
              ms,
              since: started,
            },
          };
        }
        return unanswered(landing, ms, started);
      });
    },

    stale: (endpoint, token, within) => cache?.stale(keyOf(endpoint, token), within),

    keysOf,

    refreshes,

    servers: () =>
      [...servers].map(([url, { breaker, semaphore }]) => ({
        url,
        breaker: breaker.state,
        ...semaphore.load,
      })),

    forget(which) {
      if (which === 'all') {
        const held = cache?.size ?? { active: 0, inactive: 0 };
        cache?.clear();
        flights.clear();
        return held.active + held.inactive;
      }
      if ('claim' in which) {
        // Whose tokens the calls in flight are about is not known: those who come now ask again.
        flights.clear();
        return cache?.deleteWhere(which.claim, which.value) ?? 0;
      }
      let forgotten = 0;
      for (const key of keysOf(which)) {
        if (cache?.delete(key) === true) forgotten++;
        flights.delete(key);
      }
      return forgotten;
    },
  };
}

function digest(prefix: string, token: string): string {
  return hash('sha256', prefix + token, 'base64');
}

const HIT = { from: 'hit', ms: 0 } as const;

/** Why a server is not asked at the moment; undefined where it may be. */
function barrier({ semaphore, breaker }: Server): Failure | undefined {
  if (semaphore.full) return CROWDED;
  const { wait } = breaker;
  return wait > 0 ? broken(wait) : undefined;
}

/** Our own queue says nothing of the server's health. */
const CROWDED: Failure = { cause: 'too many introspection calls are waiting', retryAfter: 1000 };

/** @param wait milliseconds */
function broken(wait: number): Failure {
  return { cause: 'the circuit breaker is open', retryAfter: wait };
}

/**
 * @param ms waited for it
 * @param since when the wait began, in monotonic milliseconds
 */
function unanswered({ cause, retryAfter }: Failure, ms: number, since: number): Introspected {
  return {
    ok: false,
    cause,
    retryAfter: Math.max(1, Math.ceil(retryAfter / 1000)),
    trace: { from: 'failed', ms, since },
  };
}

/** Milliseconds after a refresh for which there was no room before the next attempt. */
const PAUSE = 1_000;

/** Takes a place for the client, or says why there is none. */
function limited(
  { limiter, addressOf }: UnknownTokenLimit,
  { peer, fields }: Asker,
): Introspected | undefined {
  const wait = limiter.take(addressOf(peer, fields));
  if (wait === 0) return undefined;
  const retryAfter = Math.max(1, Math.ceil(wait / 1000));
  const cause = 'the client has sent too many unknown tokens';
  return { ok: false, cause, retryAfter, limited: true, trace: { from: 'limited', ms: 0 } };
}

/** The place is the client's again, unless its token was none. */
async function settle(
  { limiter, addressOf }: UnknownTokenLimit,
  { peer, fields }: Asker,
  flight: Promise<FlightResult>,
): Promise<void> {
  const landing = await flight;
  const bad = 'answer' in landing ? !landing.answer.active : landing.alive === true;
  if (!bad) limiter.giveBack(addressOf(peer, fields));
}
