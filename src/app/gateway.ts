import { randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import pino, { type DestinationStream, type Logger } from 'pino';
import { rulesJson, statusJson } from '../admin/overview.js';
import { createRecent } from '../admin/recent.js';
import { createAdmin, type LastReload } from '../admin/server.js';
import { AnswerCache } from '../auth/introspection/cache.js';
import { IntrospectionClient } from '../auth/introspection/client.js';
import { createIntrospector, type UnknownTokenLimit } from '../auth/introspection/introspector.js';
import type { Invalidation } from '../auth/introspection/invalidation.js';
import { UnknownTokenLimiter } from '../auth/introspection/rate-limit.js';
import { Seal } from '../auth/introspection/seal.js';
import { channelOf, SharedCache } from '../auth/introspection/shared-cache.js';
import { signingKeys } from '../auth/mutators/chain.js';
import { createPossessionVerifier, type PossessionOptions } from '../auth/possession/verifier.js';
import { currentClientTls, unverified, upstreamTls } from '../config/client-tls.js';
import type { Secret } from '../config/secret.js';
import type { AuthorizationServer, Listener, ProofSettings, Settings } from '../config/settings.js';
import { formatFinding } from '../document/finding.js';
import { createDecisionEndpoint } from '../forward-auth/endpoint.js';
import { createProxyListener } from '../listener/listener.js';
import { type Clock, systemClock } from '../model/clock.js';
import { type Denial, denial } from '../model/errors.js';
import type { RuleTable } from '../model/rule.js';
import type { Services } from '../model/strategy.js';
import { readPemFile } from '../model/text-file.js';
import { TimedOut, within } from '../model/within.js';
import { type AuditEntry, createAudit, createShedAudit, type Entrance } from '../observe/audit.js';
import { openSink } from '../observe/log.js';
import { createMetrics } from '../observe/metrics.js';
import { OverloadProtection, watchLoop } from '../observe/overload.js';
import { prettyLog } from '../observe/pretty.js';
import { causeOf, traceOf } from '../observe/redaction.js';
import { createShedLog } from '../observe/shed-log.js';
import { createOutbound, type OutboundClient } from '../outbound/outbound.js';
import { openStore } from '../outbound/redis/open.js';
import { clientAddressReader } from '../parse/client-address.js';
import { peerReader } from '../parse/peer.js';
import { createForwarder } from '../proxy/forwarder.js';
import { createIdentityFilter } from '../proxy/identity-headers.js';
import { explain, explanationJson } from '../rules/explain.js';
import { createReloader, type ReloadOptions, type ReloadState } from '../rules/reload.js';
import { watchFiles } from '../rules/watch.js';
import { Credentials } from '../tls/credentials.js';
import { certificatesIn, UnusableIdentity } from '../tls/identity.js';

/** A gateway that listens. */
export interface Gateway {
  /** `http://host:port` or `https://host:port`, with the port that was really taken. */
  readonly proxyUrl: string;
  readonly adminUrl: string;
  readonly log: Logger;
  /** Loads rules and certificates again; without `load` in the surroundings the rules stay. */
  reload(): void;
  /**
   * Ends it: readiness goes first, then no new connection is taken, then what is in flight is answered, for as long
   * as `server.drainTimeout` allows.
   *
   * @returns false when the time ran out and requests were cut
   */
  close(): Promise<boolean>;
}

/** What a gateway is started with besides its settings. */
export interface StartOptions {
  /** Where log lines go; default: standard output, written in the background. */
  readonly destination?: DestinationStream;
  readonly clock?: Clock;
  /** Loads and proves the rules anew, for reloads. */
  readonly load?: ReloadOptions['load'];
}

/**
 * Wires the parts of one process together and starts to listen.
 *
 * @param table the first rule set
 * @throws Error of the system when a port cannot be taken; nothing listens then
 */
export async function startGateway(
  settings: Settings,
  table: RuleTable,
  { destination, clock = systemClock, load }: StartOptions = {},
): Promise<Gateway> {
  const { introspection, forward, server, listen } = settings;
  let rules = table;
  let draining = false;
  const sink = destination === undefined ? openSink() : undefined;
  const lines = (destination ?? sink) as DestinationStream;
  const stream = settings.log.pretty ? prettyLog(lines) : lines;
  const log = pino({ level: settings.log.level, base: { name: 'scopegate' } }, stream);
  const audits = settings.log.audit && log.isLevelEnabled('info');
  const via = `${forward.via}-${randomBytes(3).toString('hex')}`;

  /** What is trusted is for one authorization server; what is shown is for its introspection endpoint alone. */
  const remoteOf = ({ tls: { ca } }: AuthorizationServer): OutboundClient =>
    createOutbound(
      {
        timeout: introspection.timeout,
        connectTimeout: introspection.connectTimeout,
        maxResponseBytes: MAX_REMOTE_BYTES,
        tls: currentClientTls(ca === undefined ? {} : { ca }),
      },
      clock,
      (url, cause) => log.warn({ url, cause }, 'call failed'),
    );
  const remote = remoteOf(introspection);
  const remotes = new Map([
    [introspection.url, remote],
    ...introspection.servers.map((server) => [server.url, remoteOf(server)] as const),
  ]);
  const { ca } = introspection.tls;
  const client = new IntrospectionClient(introspection, {
    clock,
    servers: new Map(
      [introspection, ...introspection.servers].map(({ url, tls }) => {
        const { call, verify } = remotes.get(url) as OutboundClient;
        return [url, { tls: currentClientTls(tls), send: call, verify }];
      }),
    ),
    others: {
      tls: currentClientTls(ca === undefined ? {} : { ca }),
      send: remote.call,
      verify: remote.verify,
    },
  });
  const cache = introspection.cache.enabled ? new AnswerCache(introspection.cache, clock) : undefined;
  const shared = await openShared(settings, clock, {
    revoked: (which) => {
      introspector.forget(which);
      shared?.forget(which, introspector.keysOf(which));
    },
    // What was revoked while nobody listened is not known: the answers that were not are in the store.
    listening() {
      introspector.forget('all');
      void shared?.listening().then((informed) => {
        if (informed) log.debug('listening for purges of other gateways');
      });
    },
    deaf: () => shared?.deaf(),
    failed: (cause) => {
      metrics.sharedCacheFailed();
      log.debug({ cause }, 'shared cache failed');
    },
  });
  const introspector = createIntrospector({
    client,
    cache,
    limits: introspection,
    clock,
    onFailure: ({ url }, cause) => {
      metrics.introspectionFailed();
      // A query may hold a key.
      log.warn({ endpoint: url.replace(/\?.*/, ''), cause }, 'introspection failed');
    },
    unknownTokens: unknownTokenLimit(settings, clock),
    shared,
  });
  /** Tells the other gateways, where there is a way to. @returns whether they were told */
  function tellOthers(which: Invalidation): Promise<boolean> | undefined {
    return shared?.revoke(which, introspector.keysOf(which));
  }
  const metrics = createMetrics({
    rules: () => rules,
    ready: () => status() === 'ok',
    cache: () => ({
      ...(cache?.size ?? { active: 0, inactive: 0 }),
      bytes: cache?.bytes ?? 0,
      evictions: cache?.evictions ?? 0,
    }),
    servers: introspector.servers,
    refreshes: introspector.refreshes,
    inFlight: () => admission.inFlight,
    certificates: () => tlsListeners.map(([listener, { expiresAt }]) => ({ listener, expiresAt })),
    pools: () => forwarder.pools(),
    bufferedBytes: () => forwarder.bodies.bytes,
    admittedShare: () => admission.share,
    droppedLines: () => sink?.dropped ?? 0,
  });
  const started = new Date(clock.wall() * 1000).toISOString();
  const recent = createRecent(RECENT, () => clock.wall() * 1000);
  const write = audits ? createAudit((line) => void stream.write(line), settings.log) : () => {};
  const { endpoint, ...sampling } = settings.tracing;
  const tracing =
    endpoint === undefined
      ? undefined
      : // The SDK is loaded only now: a gateway that does not trace does not hold it.
        (await import('../observe/tracing/otlp.js')).startTracing({
          ...sampling,
          endpoint,
          onExport: (spans, cause) => {
            metrics.spansExported(spans, cause === undefined);
            if (cause !== undefined) log.warn({ cause, spans }, 'spans not exported');
          },
        });
  const admission = new OverloadProtection(server);
  const unwatchLoop = server.maxEventLoopDelay > 0 ? watchLoop(admission) : () => {};
  const shed = createShedLog(audits ? createShedAudit(log) : () => {});
  function admit(entrance: Entrance, method: string): Denial | undefined {
    const cause = admission.enter();
    if (cause === undefined) return undefined;
    metrics.shed(entrance, method, cause);
    shed.add(entrance, cause);
    return FULL;
  }
  /** A bug of scopegate's own, which ended one exchange. */
  function onFault(place: string, error: unknown): void {
    metrics.failed();
    log.error({ place, err: traceOf(error) }, 'request failed');
  }
  function audit(entry: AuditEntry): void {
    metrics.record(entry);
    recent.add(entry);
    write(entry);
  }
  const tlsOf = upstreamTls(forward.tls);
  for (const setting of unverified(forward.tls)) {
    log.warn({ setting }, 'insecure: upstream certificates are not verified');
  }
  const { keep } = forward.identityFields;
  if (keep.length > 0) {
    log.warn(
      { setting: 'forward.identityFields.keep', fields: keep },
      'insecure: clients may send fields that upstreams take for a statement of the gateway',
    );
  }
  const identity = createIdentityFilter(forward.identityFields);
  const forwarder = createForwarder({
    identity,
    tlsOf,
    connectTimeout: forward.connectTimeout,
    idleTimeout: forward.idleTimeout,
    body: {
      maxBytes: forward.maxBodyBytes,
      idleTimeout: server.bodyIdleTimeout,
      minRate: server.minBodyRate,
      buffer: forward.requestBuffer,
    },
    host: forward.host,
    connections: forward.connections,
    queueTimeout: forward.queueTimeout,
    longExchanges: forward.longExchanges,
    maxResponseHeaderBytes: forward.maxResponseHeaderBytes,
    via,
    realm: settings.realm,
    onFault,
  });
  const credentials = {
    proxy: listen.proxy.tls && new Credentials(listen.proxy.tls),
    admin: listen.admin.tls && new Credentials(listen.admin.tls),
  };
  const tlsListeners = Object.entries(credentials).filter(
    (entry): entry is [string, Credentials] => entry[1] !== undefined,
  );
  const common = {
    rules: () => rules,
    services: {
      introspect: introspector.introspect,
      stale: introspector.stale,
      ...remote,
      possession: createPossessionVerifier(
        proofOptions(settings.proof, shared, () => metrics.proofUnshared()),
        clock.wall,
      ),
      now: clock.wall,
    } satisfies Services,
    admit,
    inFlight: admission,
    audit,
    tracing,
    onFault,
    realm: settings.realm,
    maxTargetBytes: forward.maxTargetBytes,
  };
  const proxy = await createProxyListener({
    ...common,
    forwarder,
    forget: (which: Invalidation) => {
      void tellOthers(which);
      return introspector.forget(which);
    },
    peerOf: peerReader(settings.trustedProxies),
    via,
    identity,
    host: forward.host,
    maxHeaderBytes: forward.maxHeaderBytes,
    headersTimeout: server.headersTimeout,
    keepAliveTimeout: server.keepAliveTimeout,
    maxConnections: server.maxConnections,
    maxStreams: server.maxStreams,
    pipelining: server.pipelining,
    ...(credentials.proxy === undefined ? {} : { tls: credentials.proxy }),
    ...(forward.webSockets
      ? {
          webSockets: {
            tlsOf,
            maxAge: forward.webSocketMaxAge,
            connectTimeout: forward.connectTimeout,
          },
        }
      : {}),
  });
  const reloader =
    load === undefined
      ? undefined
      : createReloader(table, {
          paths: settings.rules,
          load,
          use,
          done: (state) => {
            metrics.reloaded(state.ok, state.at);
            tell(log, state);
          },
          now: clock.wall,
        });
  const reloaded = () => (reloader === undefined ? undefined : lastReload(reloader.state));
  const status = () => (draining ? 'draining' : rules.rules.length === 0 ? 'no rules' : 'ok');
  const isLocal = peerReader(LOOPBACK);
  const decisions = createDecisionEndpoint({
    ...common,
    ...settings.decisions,
    peerOf: peerReader(settings.trustedProxies.length === 0 ? LOOPBACK : settings.trustedProxies),
  });
  const admin = createAdmin({
    ready: () => {
      const last = reloaded();
      return {
        ready: status() === 'ok',
        status: status(),
        rules: { version: rules.version, ...(last === undefined ? {} : { lastReload: last }) },
      };
    },
    decisions,
    metrics,
    keys: () => signingKeys(rules.rules.map(({ mutators }) => mutators)),
    rules: () => rulesJson(rules, settings.matching.overlap, reloaded()),
    status: (seq) =>
      statusJson({
        started,
        ready: status(),
        table: rules,
        inFlight: admission.inFlight,
        counts: metrics.counts(),
        cache: cache && {
          ...cache.size,
          bytes: cache.bytes,
          evictions: cache.evictions,
          maxEntries: introspection.cache.maxEntries,
          negativeMaxEntries: introspection.cache.negativeMaxEntries,
        },
        servers: introspector.servers(),
        pools: forwarder.pools(),
        recent: recent.after(seq),
      }),
    explain: ({ method, url, ...token }) => {
      const question = Object.keys(token).length === 0 ? { method, url } : { method, url, token };
      return explanationJson(method, url, explain(rules, question));
    },
    purge: async (which) => {
      const told = tellOthers(which);
      const purged = introspector.forget(which);
      // Whoever purges must know of gateways that were not told.
      return told === undefined ? { purged } : { purged, told: await told };
    },
    access: {
      ...settings.admin,
      isLocal: (socket) => isLocal(socket).trusted,
    },
    tls: credentials.admin,
    // A question carries its client's fields, and the target a second time.
    maxHeaderBytes: forward.maxHeaderBytes + forward.maxTargetBytes + QUESTION_BYTES,
  });
  const watching = { settle: SETTLE, poll: settings.reload.poll };
  const watches: { close(): void }[] = [];
  if (settings.reload.watch) {
    if (reloader !== undefined) watches.push(watchFiles(settings.rules, watching, () => reloader.reload()));
    for (const [listener, held] of tlsListeners) {
      watches.push(watchFiles(held.files, watching, () => renew(listener, held)));
    }
  }

  /** Puts renewed certificates in force, or says why not. */
  function renew(listener: string, held: Credentials): void {
    try {
      held.reload(clock.wall());
      metrics.certificatesReloaded(listener, true);
      log.info({ listener, expires: new Date(held.expiresAt * 1000).toISOString() }, 'certificates reloaded');
    } catch (error) {
      metrics.certificatesReloaded(listener, false);
      const cause = error instanceof UnusableIdentity ? error.message : causeOf(error);
      log.error({ listener, cause }, 'certificates not reloaded: those from before stay in force');
    }
  }

  /** Puts another rule set in force; requests in flight finish on the one they started with. */
  function use(next: RuleTable): void {
    rules = next;
  }

  async function endAll(): Promise<void> {
    unwatchLoop();
    shed.flush();
    await Promise.all([
      admin.close(),
      forwarder.close(),
      client.close(),
      ...[...remotes.values()].map((each) => each.close()),
      shared?.close(),
      tracing?.close(),
    ]);
  }
  try {
    await proxy.app.listen({ host: listen.proxy.host, port: listen.proxy.port, backlog: BACKLOG });
    await admin.listen({ host: listen.admin.host, port: listen.admin.port });
  } catch (error) {
    for (const watch of watches) watch.close();
    await Promise.all([proxy.app.close(), endAll()]);
    throw error;
  }

  let closing: Promise<boolean> | undefined;
  return {
    proxyUrl: urlOf(proxy.app, listen.proxy),
    adminUrl: urlOf(admin, listen.admin),
    log,
    reload() {
      reloader?.reload();
      for (const [listener, held] of tlsListeners) renew(listener, held);
    },
    close() {
      closing ??= (async () => {
        draining = true;
        for (const watch of watches) watch.close();
        const drained = await within(server.drainTimeout, proxy.app.close()).then(
          () => true,
          (error: unknown) => {
            if (error instanceof TimedOut) return false;
            throw error;
          },
        );
        if (!drained) proxy.cut();
        await endAll();
        return drained;
      })();
      return closing;
    },
  };
}

/** The answer to a request that there is no room for. */
const FULL = denial('overloaded', 'too many requests at once', { retryAfter: 1 });

/** The largest key set or session that is read, in bytes. */
const MAX_REMOTE_BYTES = 1_048_576;

/** Quiet time in milliseconds after which a change of rule files counts. */
const SETTLE = 100;

/** Decisions of each kind that the admin page shows. */
const RECENT = 200;
/**
 * Connections that the system keeps until they are accepted. It has its own limit (Linux: `net.core.somaxconn`, 4096);
 * Node asks for 511, and who comes beyond that is made to try again, for seconds, without an answer.
 */
const BACKLOG = 65_535;
/** What a proxy adds to its client's header fields when it asks for a decision, in bytes. */
const QUESTION_BYTES = 4_096;
const LOOPBACK = ['127.0.0.0/8', '::1'];

/** Logs how a reload went, each finding on a line of its own. */
function tell(log: Logger, { ok, version, findings }: ReloadState): void {
  for (const finding of findings) log.warn({ finding: formatFinding(finding) }, 'rules');
  if (ok) log.info({ version }, 'rules reloaded');
  else log.error({ version }, 'rules not reloaded: the set from before stays in force');
}

function lastReload({ ok, at, findings }: ReloadState): LastReload {
  const errors = findings.filter(({ level }) => level === 'error').length;
  return { ok, at: new Date(at * 1000).toISOString(), errors };
}

/** One of this process where the settings give none. */
function nonceSecret(shared: Secret | undefined): () => string {
  if (shared !== undefined) return () => shared.reveal();
  const own = randomBytes(32).toString('base64url');
  return () => own;
}

/** Times in seconds. */
function proofOptions(
  { dpop, certificateField: field }: ProofSettings,
  shared: SharedCache | undefined,
  onUnknown: () => void,
): PossessionOptions {
  const { enabled, algorithms, maxAge, leeway, maxProofs, maxProofsPerKey, replays, nonce } = dpop;
  return {
    ...(field === 'none' ? {} : { certificateField: field }),
    ...(enabled
      ? {
          dpop: {
            algorithms,
            maxAge: maxAge / 1000,
            leeway: leeway / 1000,
            maxProofs,
            maxPerKey: maxProofsPerKey,
            ...(shared === undefined || replays === 'own'
              ? {}
              : {
                  others: {
                    claim: (digest: string, life: number) => shared.claim(digest, life),
                    required: replays === 'required',
                    onUnknown,
                  },
                }),
            ...(nonce.required
              ? {
                  nonce: {
                    secret: nonceSecret(nonce.secret),
                    lifetime: nonce.lifetime / 1000,
                  },
                }
              : {}),
          },
        }
      : {}),
  };
}

/** The second tier of the cache, where there is one. */
async function openShared(
  { introspection: { cache, connectTimeout } }: Settings,
  clock: Clock,
  {
    revoked,
    listening,
    deaf,
    failed,
  }: {
    readonly revoked: (which: Invalidation) => void;
    readonly listening: () => void;
    readonly deaf: () => void;
    readonly failed: (cause: string) => void;
  },
): Promise<SharedCache | undefined> {
  const { shared: settings } = cache;
  if (settings === undefined) return undefined;
  const { place, username, password, ca, keys, prefix } = settings;
  const store = await openStore(
    {
      place,
      connectTimeout,
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password: () => password.reveal() }),
      ...(ca === undefined ? {} : { ca: certificatesIn(readPemFile(ca)) }),
    },
    channelOf(prefix),
    {
      message(text) {
        const revocation = shared.readRevocation(text);
        if (revocation !== undefined) revoked(revocation);
      },
      listening,
      deaf,
      failed,
    },
  );
  const shared = new SharedCache(store, new Seal(keys), { ...settings, ttl: cache.ttl }, clock, failed);
  return shared;
}

function unknownTokenLimit(
  { introspection, trustedProxies }: Settings,
  clock: Clock,
): UnknownTokenLimit | undefined {
  if (introspection.flood.badTokens === 0) return undefined;
  const limiter = new UnknownTokenLimiter(introspection.flood, clock);
  return { limiter, addressOf: clientAddressReader(trustedProxies) };
}

function urlOf(app: FastifyInstance, listener: Listener): string {
  const { address, port, family } = app.server.address() as AddressInfo;
  const host = family === 'IPv6' ? `[${address}]` : address;
  return `${listener.tls === undefined ? 'http' : 'https'}://${host}:${port}`;
}
