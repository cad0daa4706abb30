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
import { type CacheKey, CacheKeys } from './cache-keys.js';
import type { Invalidation } from './invalidation.js';
import type { UnknownTokenLimiter } from './rate-limit.js';
import type { ReadinessChecks } from './readiness.js';
import {
  type Caller,
  type CallLimits,
  type Failure,
  ServerCalls,
  type ServerCallsOptions,
} from './server-calls.js';
import type { Found, SharedCache } from './shared-cache.js';
import { identityOf } from './token-identity.js';

/** The rate limit of unknown tokens: the limiter, and how it identifies the client of a request. */
export interface UnknownTokenLimit {
  readonly limiter: UnknownTokenLimiter;
  readonly addressOf: ClientAddressReader;
}

/** An introspector that shows its state and can invalidate answers. */
export interface LocalIntrospector extends Required<Introspector> {
  /** The state of each authorization server that was called so far. */
  servers(): ServerState[];
  /** Refreshes since the start, by result. */
  readonly refreshes: Readonly<Refreshes>;
  /**
   * Invalidates the cached answers about one token at all endpoints, about all tokens with a claim, or about
   * all tokens. Requests that wait for a call in flight still get its answer, but it is not cached.
   *
   * @returns the number of removed answers
   */
  forget(which: Invalidation): number;
  /** The cache keys of a token at all endpoints. Empty if the invalidation is not about one token. */
  keysOf(which: Invalidation): CacheKey[];
  /**
   * Adds to an invalidation of a token the data that finds its answers under other spellings, if this gateway
   * knows it.
   */
  identified(which: Invalidation): Invalidation;
}

/**
 * The shared cache behind the cache of this process. Its methods never reject, and they return within a short
 * timeout.
 */
export type SecondTier = Pick<SharedCache, 'get' | 'set' | 'turn' | 'endTurn'>;

/** The result of one call, for all requests that wait for it. */
type CallResult = { readonly answer: Answer; readonly shared?: true } | Failure;

/** The parts of an introspector. */
export interface IntrospectorOptions {
  readonly client: Caller;
  /** If undefined, answers are not cached. */
  readonly cache: AnswerCache | undefined;
  readonly limits: CallLimits;
  readonly clock: Clock;
  /** Called for every failed call; the cause holds no token. */
  readonly onFailure?: (endpoint: Endpoint, cause: string) => void;
  /** Called when the circuit breaker of a server opens, and when it closes. */
  readonly onBreaker?: ServerCallsOptions['onBreaker'];
  /** Confirms inactive answers. If absent, every inactive answer counts. */
  readonly readiness?: ReadinessChecks | undefined;
  /** If absent, there is no rate limit of unknown tokens. */
  readonly unknownTokens?: UnknownTokenLimit | undefined;
  /** If absent, there is no shared cache. */
  readonly shared?: SecondTier | undefined;
}

/** Builds the introspector. */
export function createIntrospector({
  client,
  cache,
  limits,
  clock,
  onFailure = () => {},
  onBreaker,
  readiness,
  unknownTokens,
  shared,
}: IntrospectorOptions): LocalIntrospector {
  const calls = new Map<string, Promise<CallResult>>();
  const servers = new ServerCalls({ client, limits, clock, readiness, onFailure, onBreaker });
  const keys = new CacheKeys();
  const refreshes: Refreshes = { active: 0, inactive: 0, failed: 0, shared: 0, skipped: 0 };

  const keysOf = (which: Invalidation): CacheKey[] =>
    which === 'all' || 'claim' in which ? [] : keys.everywhere(which.token);

  /** Adds the identity of the token, if its answers are cached here under keys that are not exact. */
  function identified(which: Invalidation): Invalidation {
    if (which === 'all' || 'claim' in which || cache === undefined) return which;
    const identities = [...(which.identities ?? [])];
    for (const { key, exact } of keysOf(which)) {
      const answer = exact ? undefined : cache.peekActive(key);
      const identity = answer === undefined ? undefined : identityOf(answer);
      if (identity !== undefined) identities.push(identity);
    }
    return identities.length === 0 ? which : { token: which.token, identities };
  }

  /**
   * Gets the answer from the shared cache or the authorization server.
   *
   * @param least milliseconds that an answer from the shared cache must still live
   * @param isCurrent whether this is still the call for its key; only then is its answer cached
   */
  async function fetchAnswer(
    endpoint: Endpoint,
    token: string,
    { key, token: spelling }: CacheKey,
    least: number,
    isCurrent: () => boolean,
  ): Promise<CallResult> {
    const { lifetime } = endpoint;
    const isSharing = cache !== undefined && shared !== undefined && lifetime !== 0;
    if (isSharing) {
      const look = async (): Promise<Found | undefined> => {
        const found = await shared.get(key, spelling);
        // The answer may have been invalidated while scopegate read the shared cache.
        return found !== undefined && found.life > least && isCurrent() ? found : undefined;
      };
      const found = (await look()) ?? (await shared.turn(key, look, isCurrent));
      if (found !== undefined) {
        cache.set(key, found.answer, lifetime === undefined ? found.life : Math.min(found.life, lifetime));
        return { answer: found.answer, shared: true };
      }
    }
    const asked = clock.wall() * 1000;
    let isShared = false;
    try {
      const result = await servers.call(endpoint, token, () => cache?.peekActive(key) !== undefined);
      if ('cause' in result) return result;
      if (cache !== undefined && isCurrent()) {
        const life = cache.set(key, result, lifetime);
        if (result.active && shared !== undefined && life > 0) {
          isShared = shared.set(key, spelling, result, life, asked);
        }
      }
      return { answer: result };
    } finally {
      if (isSharing && !isShared) shared.endTurn(key);
    }
  }

  /**
   * Starts a call, or refuses: the server must not be called now, or the client has reached its rate limit.
   */
  function startCall(
    endpoint: Endpoint,
    token: string,
    place: CacheKey,
    asker: Asker | undefined,
    least: number,
  ): Promise<CallResult> | Introspected {
    if (shared === undefined) {
      // The server must not be called now. Refuse early, so that many such requests cost little.
      const blocked = servers.blockedBy(endpoint);
      if (blocked !== undefined) return withoutAnswer(blocked, 0, clock.monotonic());
    }
    const guarded = unknownTokens !== undefined && asker !== undefined;
    const refused = guarded ? takeUnit(unknownTokens, asker) : undefined;
    if (refused !== undefined) return refused;
    // After an invalidation, another call may replace this one, whose answer then must not be cached.
    const { key } = place;
    const isCurrent = () => calls.get(key) === call;
    const call: Promise<CallResult> = fetchAnswer(endpoint, token, place, least, isCurrent);
    if (guarded) void giveBackUnit(unknownTokens, asker, call);
    calls.set(key, call);
    const finish = () => {
      if (isCurrent()) calls.delete(key);
    };
    call.then(finish, finish);
    return call;
  }

  /**
   * Refreshes an answer in use before it expires; no request waits for it. It gives way to requests: if the
   * breaker is not closed, all permitted calls are in flight, or the client has reached its rate limit, a
   * later hit tries again.
   */
  function refresh(
    endpoint: Endpoint,
    token: string,
    place: CacheKey,
    asker: Asker | undefined,
    entry: Entry,
    now: number,
  ): void {
    const call = servers.hasRoom(endpoint)
      ? // An answer of another gateway helps only if it does not expire soon too.
        startCall(endpoint, token, place, asker, cache?.refreshBefore ?? 0)
      : undefined;
    if (!(call instanceof Promise)) {
      refreshes.skipped++;
      entry.refreshAt = now + SKIPPED_PAUSE;
      return;
    }
    // Only once: if the refresh fails, the entry expires as usual.
    entry.refreshAt = Number.POSITIVE_INFINITY;
    void call.then((result) => {
      if (!('answer' in result)) refreshes.failed++;
      else if (result.shared === true) refreshes.shared++;
      else refreshes[result.answer.active ? 'active' : 'inactive']++;
    });
  }

  return {
    introspect(endpoint, token, asker) {
      const place = keys.of(endpoint, token);
      const { key } = place;
      const started = clock.monotonic();
      const entry = cache?.find(key, started);
      if (entry !== undefined) {
        if (started >= entry.refreshAt && lives(endpoint, cache) && cache?.isDue(entry) === true) {
          refresh(endpoint, token, place, asker, entry, started);
        }
        return { ok: true, answer: entry.answer, trace: HIT };
      }
      const running = calls.get(key);
      const call = running ?? startCall(endpoint, token, place, asker, 0);
      if (!(call instanceof Promise)) return call;
      return call.then((result): Introspected => {
        const ms = clock.monotonic() - started;
        if ('answer' in result) {
          return {
            ok: true,
            answer: result.answer,
            trace: {
              from: running !== undefined ? 'coalesced' : result.shared === true ? 'shared' : 'miss',
              ms,
              since: started,
            },
          };
        }
        return withoutAnswer(result, ms, started);
      });
    },

    stale: (endpoint, token, within) => cache?.stale(keys.of(endpoint, token).key, within),

    keysOf,

    identified,

    refreshes,

    servers: () => servers.states,

    forget(which) {
      if (which === 'all') {
        const held = cache?.size ?? { active: 0, inactive: 0 };
        cache?.clear();
        calls.clear();
        return held.active + held.inactive;
      }
      if ('claim' in which) {
        // The claims of the tokens of calls in flight are not known yet: new requests start a new call.
        calls.clear();
        return cache?.deleteWhere(which.claim, which.value) ?? 0;
      }
      const { identities = [] } = identified(which) as Exclude<typeof which, string>;
      let removed = 0;
      for (const { key } of keysOf(which)) {
        if (cache?.delete(key) === true) removed++;
        calls.delete(key);
      }
      // A call in flight may be about the same token in another spelling.
      if (identities.length > 0) calls.clear();
      for (const identity of identities) removed += cache?.deleteAbout(identity) ?? 0;
      return removed;
    },
  };
}

/** Whether answers live long enough that a refresh before they expire makes sense. */
function lives({ lifetime }: Endpoint, cache: AnswerCache | undefined): boolean {
  return lifetime === undefined || lifetime > (cache?.refreshBefore ?? 0);
}

const HIT = { from: 'hit', ms: 0 } as const;

/**
 * Builds the result without an answer.
 *
 * @param ms milliseconds that the request waited
 * @param since when the wait began, in monotonic milliseconds
 */
function withoutAnswer({ cause, code, retryAfter }: Failure, ms: number, since: number): Introspected {
  return {
    ok: false,
    cause,
    ...(code === undefined ? {} : { code }),
    retryAfter: Math.max(1, Math.ceil(retryAfter / 1000)),
    trace: { from: 'failed', ms, since },
  };
}

/** Milliseconds after a skipped refresh until the next attempt. */
const SKIPPED_PAUSE = 1_000;

/** Takes one unit of the client's rate limit, or returns the refusal. */
function takeUnit(
  { limiter, addressOf }: UnknownTokenLimit,
  { peer, fields }: Asker,
): Introspected | undefined {
  const wait = limiter.take(addressOf(peer, fields));
  if (wait === 0) return undefined;
  const retryAfter = Math.max(1, Math.ceil(wait / 1000));
  const cause = 'the client has sent too many unknown tokens';
  return { ok: false, cause, retryAfter, limited: true, trace: { from: 'limited', ms: 0 } };
}

/** Gives the unit back, unless the token turned out not to be active. */
async function giveBackUnit(
  { limiter, addressOf }: UnknownTokenLimit,
  { peer, fields }: Asker,
  call: Promise<CallResult>,
): Promise<void> {
  const result = await call;
  const bad = 'answer' in result ? !result.answer.active : result.alive === true;
  if (!bad) limiter.giveBack(addressOf(peer, fields));
}
