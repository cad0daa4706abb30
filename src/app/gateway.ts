import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { DestinationStream, Logger } from 'pino';
import { createRecent } from '../admin/recent.js';
import { createPossessionVerifier } from '../auth/possession/verifier.js';
import type { Listener, Settings } from '../config/settings.js';
import { type Clock, systemClock } from '../model/clock.js';
import type { RuleTable } from '../model/rule.js';
import type { Services } from '../model/strategy.js';
import { TimedOut, within } from '../model/within.js';
import type { Metrics } from '../observe/metric-events.js';
import { createMetrics } from '../observe/metrics.js';
import type { EntranceOptions } from '../observe/request-record.js';
import type { Tracing } from '../observe/tracing/trace.js';
import type { ReloadOptions } from '../rules/reload.js';
import { createAdminListener } from './admin.js';
import { Certificates } from './certificates.js';
import { startIntrospection } from './introspection.js';
import { openLog } from './log-output.js';
import { possessionOptions } from './possession.js';
import { createProxy } from './proxy.js';
import { createAccounts } from './requests.js';
import { RulesInForce } from './rules-in-force.js';
import { watchAll } from './watches.js';

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

/** Decisions of each kind that the admin page shows. */
const RECENT = 200;
/**
 * Connections that the system keeps until they are accepted. It has its own limit (Linux: `net.core.somaxconn`, 4096);
 * Node asks for 511, and who comes beyond that is made to try again, for seconds, without an answer.
 */
const BACKLOG = 65_535;

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
  const { forward, listen, server } = settings;
  const started = new Date(clock.wall() * 1000).toISOString();
  const output = openLog(settings, destination);
  const { log } = output;
  const metrics = createMetrics();
  const recent = createRecent(RECENT, () => clock.wall() * 1000);
  const tracing = await startTracing(settings, metrics, log);
  const introspection = await startIntrospection(settings, clock, metrics, log);
  const accounts = createAccounts(settings, output, metrics, recent);
  const rules = new RulesInForce(table, load, settings, clock, metrics, log);
  const certificates = new Certificates(settings, clock, metrics, log);
  const possession = possessionOptions(settings.proof, introspection.shared, () => metrics.proofUnshared());
  const services = {
    introspect: introspection.introspector.introspect,
    stale: introspection.introspector.stale,
    ...introspection.outbound,
    possession: createPossessionVerifier(possession, clock.wall),
    now: clock.wall,
  } satisfies Services;
  const entrance: Omit<EntranceOptions, 'peerOf'> = {
    rules: () => rules.table,
    services,
    admit: accounts.admit,
    inFlight: accounts.inFlight,
    audit: accounts.audit,
    tracing,
    onFault: accounts.onFault,
    realm: settings.realm,
    maxTargetBytes: forward.maxTargetBytes,
  };
  const proxy = await createProxy(
    settings,
    entrance,
    (which) => introspection.purge(which).count,
    metrics.shareRefused,
    certificates.proxy,
    log,
  );
  let draining = false;
  const status = () => (draining ? 'draining' : rules.table.rules.length === 0 ? 'no rules' : 'ok');
  const admin = createAdminListener({
    settings,
    entrance,
    rules,
    status,
    metrics,
    recent,
    accounts,
    introspection,
    forwarder: proxy.forwarder,
    credentials: certificates.admin,
    started,
  });
  const { cache, introspector } = introspection;
  metrics.watch({
    rules: () => rules.table,
    ready: () => status() === 'ok',
    cache: () => ({
      ...(cache?.size ?? { active: 0, inactive: 0 }),
      bytes: cache?.bytes ?? 0,
      evictions: cache?.evictions ?? 0,
    }),
    servers: introspector.servers,
    refreshes: introspector.refreshes,
    inFlight: () => accounts.inFlight.inFlight,
    certificates: () => certificates.all.map(([listener, { expiresAt }]) => ({ listener, expiresAt })),
    pools: () => proxy.forwarder.pools(),
    bufferedBytes: () => proxy.forwarder.bodies.bytes,
    admittedShare: () => accounts.inFlight.share,
    droppedLines: output.dropped,
  });
  const unwatch = watchAll(settings, rules, certificates);

  async function endAll(): Promise<void> {
    accounts.close();
    proxy.forwarder.close();
    await Promise.all([admin.close(), introspection.close(), tracing?.close()]);
  }
  try {
    await proxy.listener.app.listen({ host: listen.proxy.host, port: listen.proxy.port, backlog: BACKLOG });
    await admin.listen({ host: listen.admin.host, port: listen.admin.port });
  } catch (error) {
    unwatch();
    await Promise.all([proxy.listener.app.close(), endAll()]);
    throw error;
  }

  let closing: Promise<boolean> | undefined;
  return {
    proxyUrl: urlOf(proxy.listener.app, listen.proxy),
    adminUrl: urlOf(admin, listen.admin),
    log,
    reload() {
      rules.reloader?.reload();
      certificates.renewAll();
    },
    close() {
      closing ??= (async () => {
        draining = true;
        unwatch();
        const drained = await endsWithin(server.drainTimeout, proxy.listener.app.close());
        if (!drained) proxy.listener.cut();
        await endAll();
        return drained;
      })();
      return closing;
    },
  };
}

/** The SDK is loaded only where spans go somewhere: a gateway that does not trace does not hold it. */
async function startTracing(
  { tracing: { endpoint, ...sampling } }: Settings,
  metrics: Metrics,
  log: Logger,
): Promise<Tracing | undefined> {
  if (endpoint === undefined) return undefined;
  const { startTracing: start } = await import('../observe/tracing/otlp.js');
  return start({
    ...sampling,
    endpoint,
    onExport: (spans, cause) => {
      metrics.spansExported(spans, cause === undefined);
      if (cause !== undefined) log.warn({ cause, spans }, 'spans not exported');
    },
  });
}

/** @returns false where the time ran out first */
async function endsWithin(ms: number, work: PromiseLike<unknown>): Promise<boolean> {
  try {
    await within(ms, work);
    return true;
  } catch (error) {
    if (error instanceof TimedOut) return false;
    throw error;
  }
}

function urlOf(app: FastifyInstance, listener: Listener): string {
  const { address, port, family } = app.server.address() as AddressInfo;
  const host = family === 'IPv6' ? `[${address}]` : address;
  return `${listener.tls === undefined ? 'http' : 'https'}://${host}:${port}`;
}
