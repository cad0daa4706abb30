import type { AddressInfo } from 'node:net';
import type { FastifyInstance, FastifyListenOptions } from 'fastify';
import type { DestinationStream, Logger } from 'pino';
import { Series } from '../admin/series.js';
import { Troubles } from '../admin/troubles.js';
import type { Listener, Settings } from '../config/settings.js';
import { type Clock, systemClock } from '../model/clock.js';
import type { RuleTable } from '../model/rule.js';
import { TimedOut, within } from '../model/within.js';
import { DroppedLines } from '../observe/dropped-lines.js';
import type { CreateUpstreamClient } from '../proxy/upstream/client.js';
import type { ReloadOptions } from '../rules/reload.js';
import { createAdminListener } from './admin.js';
import { Certificates } from './certificates.js';
import { startCore } from './core.js';
import { openLog } from './log-output.js';
import { createProxy } from './proxy.js';
import { watchAll } from './watches.js';

/** A gateway that is listening. */
export interface Gateway {
  /** `http://host:port` or `https://host:port`, with the port that is actually in use. */
  readonly proxyUrl: string;
  readonly adminUrl: string;
  readonly log: Logger;
  /**
   * Reloads rules and certificates. The rules stay if {@link StartOptions} has no `load`.
   *
   * @returns resolves when the rules are loaded or refused
   */
  reload(): Promise<void>;
  /**
   * Drains and stops the gateway. First readiness reports that it is not ready, then the gateway accepts no
   * new connections, then it finishes the requests in flight, for at most `server.drainTimeout`.
   *
   * @returns false if the time ran out and requests were cut off
   */
  close(): Promise<boolean>;
}

/** What a gateway is started with, in addition to the settings. */
export interface StartOptions {
  /** Where log lines go. Default: standard output, written in the background. */
  readonly destination?: DestinationStream;
  /** Whether lines for people (`log.pretty`) have colours. Default: no. */
  readonly isColoured?: boolean;
  readonly clock?: Clock;
  /** Loads and checks the rules for a reload. */
  readonly load?: ReloadOptions['load'];
  /**
   * The digest of the files that the first rule set was read from, as `readRuleFiles` makes it. If it differs
   * from the files, they have changed since.
   */
  readonly digest?: string | undefined;
  /** Creates the client of each upstream. Default: scopegate's own. */
  readonly createClient?: CreateUpstreamClient | undefined;
}

/**
 * How many connections the system queues until scopegate accepts them. The system has its own limit (Linux:
 * `net.core.somaxconn`, 4096). Node's default is 511: beyond that, a client gets no answer and retries for
 * seconds.
 */
const BACKLOG = 65_535;
/** The time between two samples of the counters, in milliseconds. */
const SAMPLING = 1_000;

/**
 * Connects the parts of one process and starts to listen.
 *
 * @param table the first rule set
 * @throws Error of the system if a port cannot be used; then nothing listens
 */
export async function startGateway(
  settings: Settings,
  table: RuleTable,
  { destination, isColoured, clock = systemClock, load, digest, createClient }: StartOptions = {},
): Promise<Gateway> {
  const { listen, server } = settings;
  const started = new Date(clock.wall() * 1000).toISOString();
  const output = openLog(settings, destination, isColoured);
  const { log } = output;
  const core = await startCore(settings, table, { output, clock, load });
  const { metrics, recent, introspection, accounts, rules, files, entrance } = core;
  const certificates = new Certificates(settings, clock, metrics, log);
  const proxy = await createProxy(
    settings,
    entrance,
    introspection.revocations,
    metrics.shareRefused,
    certificates.proxy,
    log,
    createClient,
  );
  const series = new Series(metrics.totals, clock);
  let draining = false;
  const status = () => (draining ? 'draining' : rules.table.rules.length === 0 ? 'no rules' : 'ok');
  const troubles = new Troubles(
    {
      status,
      table: () => rules.table,
      failedReload: () => rules.failedReload,
      certificates: () => certificates.states,
      files: () => files.failures,
      servers: introspection.introspector.servers,
      serverFailures: () => introspection.failures,
      pools: () => proxy.forwarder.pools(),
      failed: () => metrics.totals().outcomes.failed,
      shed: () => metrics.totals().shed,
      sharedCache: introspection.sharedCacheState,
      droppedLines: output.dropped,
      counts: metrics.counts,
    },
    clock,
  );
  const droppedLines = new DroppedLines(output, log);
  const sampling = setInterval(() => {
    series.sample();
    troubles.sample();
    droppedLines.sample();
  }, SAMPLING).unref();
  const admin = createAdminListener({
    settings,
    entrance,
    rules,
    status,
    metrics,
    recent,
    series,
    troubles,
    certificates,
    accounts,
    introspection,
    forwarder: proxy.forwarder,
    log,
    started,
  });
  core.watch({
    ready: () => status() === 'ok',
    certificates: () => certificates.all.map(([listener, { expiresAt }]) => ({ listener, expiresAt })),
    pools: () => proxy.forwarder.pools(),
    bufferedBytes: () => proxy.forwarder.bodies.bytes,
  });
  const unwatch = watchAll(settings, rules, certificates, digest);

  async function endAll(): Promise<void> {
    clearInterval(sampling);
    proxy.forwarder.close();
    await Promise.all([admin.close(), core.close()]);
  }
  try {
    const { host, port, reusePort } = listen.proxy;
    await proxy.listener.app.listen({ host, port, backlog: BACKLOG, reusePort } as FastifyListenOptions);
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
    async reload() {
      certificates.renewAll();
      await rules.reloader?.reload();
    },
    close() {
      closing ??= (async () => {
        draining = true;
        unwatch();
        void rules.reloader?.close();
        const drained = await endsWithin(server.drainTimeout, proxy.listener.app.close());
        if (!drained) proxy.listener.cut();
        await endAll();
        return drained;
      })();
      return closing;
    },
  };
}

/** @returns false if the time ran out first */
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
