import type { Logger } from 'pino';
import type { SharedCacheState } from '../admin/shared-cache-trouble.js';
import type { LastFailure } from '../admin/troubles.js';
import { AnswerCache } from '../auth/introspection/cache.js';
import type { CircuitBreakerChange } from '../auth/introspection/circuit-breaker.js';
import { IntrospectionClient } from '../auth/introspection/client.js';
import {
  createIntrospector,
  type LocalIntrospector,
  type UnknownTokenLimit,
} from '../auth/introspection/introspector.js';
import type { Invalidation } from '../auth/introspection/invalidation.js';
import { UnknownTokenLimiter } from '../auth/introspection/rate-limit.js';
import {
  type CheckedEndpoint,
  ReadinessChecks,
  type ReadinessResult,
} from '../auth/introspection/readiness.js';
import { Revocations } from '../auth/introspection/revocation.js';
import type { SharedCache } from '../auth/introspection/shared-cache.js';
import { clientTlsOf, currentClientTls } from '../config/client-tls.js';
import type { AuthorizationServer, Settings } from '../config/settings.js';
import type { Clock } from '../model/clock.js';
import type { Metrics } from '../observe/metric-events.js';
import { withoutQuery } from '../observe/redaction.js';
import { createOutbound, type OutboundClient } from '../outbound/outbound.js';
import { clientAddressReader } from '../parse/client-address.js';
import { openSharedCache } from './shared-cache.js';
import { SharedCacheFailures } from './shared-cache-failures.js';

/** The largest key set or session response that is read, in bytes. */
const MAX_REMOTE_BYTES = 1_048_576;

/** Everything that calls authorization servers, and the cache of their answers. */
export interface Introspection {
  readonly introspector: LocalIntrospector;
  /** The last failed call to each authorization server, by its URL without the query. */
  readonly failures: ReadonlyMap<string, LastFailure>;
  /** Calls other services: for key sets and sessions. */
  readonly outbound: OutboundClient;
  /** Undefined if the cache is off. */
  readonly cache: AnswerCache | undefined;
  /** The second tier of the cache. */
  readonly shared: SharedCache | undefined;
  /** Undefined if the second tier works. */
  sharedCacheState(): SharedCacheState | undefined;
  /** Removes answers here, and tells the other gateways. */
  purge(which: Invalidation): Purged;
  /** Purges the answers about tokens whose revocation scopegate observes. */
  readonly revocations: Revocations;
  close(): Promise<void>;
}

/** The result of a purge. */
export interface Purged {
  /** The number of answers that were removed here. */
  readonly count: number;
  /** Whether the other gateways were told; undefined if there are none. */
  readonly told: Promise<boolean> | undefined;
}

/**
 * Builds the introspection of one gateway.
 *
 * @param log gets the failed calls, without tokens and queries
 */
export async function startIntrospection(
  settings: Settings,
  clock: Clock,
  metrics: Metrics,
  log: Logger,
): Promise<Introspection> {
  const { introspection } = settings;
  const outbounds = createOutbounds(settings, clock, log);
  const outbound = outbounds.get(introspection.url) as OutboundClient;
  const client = createClient(settings, clock, outbounds);
  const cache = introspection.cache.enabled ? new AnswerCache(introspection.cache, clock) : undefined;

  // The store may call back before the introspector exists. Then there is nothing to invalidate yet.
  let introspector: LocalIntrospector | undefined;
  let shared: SharedCache | undefined;
  const sharedFailures = new SharedCacheFailures(metrics, clock, log);
  shared = await openSharedCache(settings, clock, {
    revoked(which) {
      if (introspector === undefined) return;
      introspector.forget(which);
      shared?.forget(
        which,
        introspector.keysOf(which).map(({ key }) => key),
      );
    },
    // While nobody listened, purges may have been missed, so drop all local answers. Those that are still
    // valid are in the store.
    listening() {
      introspector?.forget('all');
      void shared?.listening().then((informed) => {
        if (informed) log.debug('listening for purges of other gateways');
      });
    },
    deaf: () => shared?.deaf(),
    failed: (cause) => sharedFailures.failed(cause),
    succeeded: () => sharedFailures.succeeded(),
  });
  const onCheck = (endpoint: CheckedEndpoint, result: ReadinessResult, changed: boolean): void => {
    metrics.readinessChecked(result.state);
    if (!changed) return;
    // The server may have given some of these answers when it could already not look tokens up.
    if (result.state === 'not_ready') cache?.clearInactive();
    const { url, derived } = endpoint.readiness;
    log[result.state === 'ready' ? 'info' : 'warn'](
      {
        readiness: withoutQuery(url),
        state: result.state,
        ...('cause' in result ? { cause: result.cause } : {}),
        ...(derived === true ? { derived } : {}),
      },
      READINESS_MESSAGES[result.state],
    );
  };
  const failures = new Map<string, LastFailure>();
  const made = createIntrospector({
    client,
    cache,
    limits: introspection,
    clock,
    readiness: new ReadinessChecks((endpoint) => client.readiness(endpoint), clock, onCheck),
    onFailure: ({ url }, cause) => {
      const server = withoutQuery(url);
      metrics.introspectionFailed();
      failures.set(server, { cause, at: clock.wall() });
      log.warn({ endpoint: server, cause }, 'introspection failed');
    },
    onBreaker: (url, change) => logBreaker(log, withoutQuery(url), change),
    unknownTokens: unknownTokenLimit(settings, clock),
    shared,
  });
  introspector = made;
  const purge = (which: Invalidation): Purged => {
    const full = made.identified(which);
    return { told: shared === undefined ? undefined : tell(shared, made, full), count: made.forget(full) };
  };
  const revocations = new Revocations((which) => purge(which).count, clock);
  return {
    introspector: made,
    failures,
    outbound,
    cache,
    shared,
    sharedCacheState: () => sharedFailures.state(),
    purge,
    revocations,
    async close() {
      revocations.flush();
      // What is in flight fails now, because the connections are closed.
      sharedFailures.close();
      await Promise.all([
        client.close(),
        ...[...outbounds.values()].map((each) => each.close()),
        shared?.close(),
      ]);
    },
  };
}

/**
 * Tells the other gateways of a purge. If a token may have several spellings and no answer about it is cached
 * here, an answer in the store says which token it is.
 */
async function tell(
  shared: SharedCache,
  introspector: LocalIntrospector,
  which: Invalidation,
): Promise<boolean> {
  const keys = introspector.keysOf(which);
  const unclear = which !== 'all' && 'token' in which && which.identities === undefined;
  const inexact = unclear ? keys.filter(({ exact }) => !exact) : [];
  // The store executes commands in order, so this one still finds the answers.
  const found = inexact.length === 0 ? [] : shared.identities(inexact);
  const told = shared.revoke(
    which,
    keys.map(({ key }) => key),
  );
  const identities = await found;
  if (which === 'all' || 'claim' in which || identities.length === 0) return await told;
  const full = { token: which.token, identities };
  introspector.forget(full);
  return (await shared.revoke(full, [])) && (await told);
}

const READINESS_MESSAGES: Readonly<Record<ReadinessResult['state'], string>> = {
  ready: 'the authorization server is ready',
  not_ready: 'the authorization server is not ready: requests with tokens that it calls inactive get 503',
  absent:
    'the authorization server does not serve its readiness URL: scopegate accepts inactive answers without that check',
};

/**
 * Creates a client for each authorization server, because a CA that is trusted for one is trusted for no
 * other.
 */
function createOutbounds(
  { introspection }: Settings,
  clock: Clock,
  log: Logger,
): ReadonlyMap<string, OutboundClient> {
  const { timeout, connectTimeout } = introspection;
  const create = ({ tls: { ca } }: AuthorizationServer): OutboundClient =>
    createOutbound(
      {
        timeout,
        connectTimeout,
        maxResponseBytes: MAX_REMOTE_BYTES,
        tls: currentClientTls(clientTlsOf({ ca })),
      },
      clock,
      (url, cause) => log.warn({ url, cause }, 'call failed'),
    );
  return new Map([introspection, ...introspection.servers].map((server) => [server.url, create(server)]));
}

/**
 * Creates the introspection client. It shows a client certificate only to the introspection endpoint of the
 * server that the certificate is for.
 */
function createClient(
  { introspection }: Settings,
  clock: Clock,
  outbounds: ReadonlyMap<string, OutboundClient>,
): IntrospectionClient {
  const { ca } = introspection.tls;
  const { call: send, verify } = outbounds.get(introspection.url) as OutboundClient;
  return new IntrospectionClient(introspection, {
    clock,
    servers: new Map(
      [introspection, ...introspection.servers].map(({ url, tls }) => {
        const { call, verify } = outbounds.get(url) as OutboundClient;
        return [url, { tls: currentClientTls(tls), send: call, verify }];
      }),
    ),
    others: { tls: currentClientTls(clientTlsOf({ ca })), send, verify },
  });
}

function unknownTokenLimit(
  { introspection, trustedProxies }: Settings,
  clock: Clock,
): UnknownTokenLimit | undefined {
  if (introspection.flood.badTokens === 0) return undefined;
  const limiter = new UnknownTokenLimiter(introspection.flood, clock);
  return { limiter, addressOf: clientAddressReader(trustedProxies) };
}

/** Writes one line when the circuit breaker of a server opens, and one when it closes. */
function logBreaker(log: Logger, endpoint: string, change: CircuitBreakerChange): void {
  const { state } = change;
  if (state === 'open') {
    log.warn(
      { endpoint, state, openForMs: Math.round(change.openFor) },
      'the circuit breaker opened: requests whose token is not in the cache get 503',
    );
  } else {
    const lastedMs = Math.round(change.lasted);
    log.info(
      { endpoint, state, lastedMs },
      'the circuit breaker closed: the authorization server works again',
    );
  }
}
