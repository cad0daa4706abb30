import { createRecent, type Recent } from '../admin/recent.js';
import { createPossessionVerifier } from '../auth/possession/verifier.js';
import type { Settings } from '../config/settings.js';
import type { Clock } from '../model/clock.js';
import type { RuleTable } from '../model/rule.js';
import type { Services } from '../model/strategy.js';
import type { Metrics } from '../observe/metric-events.js';
import type { MetricSources } from '../observe/metric-sources.js';
import { createMetrics } from '../observe/metrics.js';
import type { EntranceOptions } from '../observe/request-record.js';
import type { Tracing } from '../observe/tracing/trace.js';
import { clientAddressReader } from '../parse/client-address.js';
import type { ReloadOptions } from '../rules/reload.js';
import { type Introspection, startIntrospection } from './introspection.js';
import type { LogOutput } from './log-output.js';
import { possessionOptions } from './possession.js';
import { createAccounts, type RequestAccounts } from './requests.js';
import { RereadFilesWatch } from './reread-files.js';
import { RulesInForce } from './rules-in-force.js';

/** How many decisions of each kind are kept for the admin page. */
const RECENT = 200;
/** The time between two looks at the files of secrets, in milliseconds. */
const LOOKING = 1_000;

/** Everything that decides about requests and records them, whichever listener or hook receives them. */
export interface Core {
  readonly metrics: Metrics;
  readonly recent: Recent;
  readonly introspection: Introspection;
  readonly accounts: RequestAccounts;
  readonly rules: RulesInForce;
  readonly files: RereadFilesWatch;
  /** What every listener and hook needs, except for `peerOf`. */
  readonly entrance: Omit<EntranceOptions, 'peerOf'> & { readonly services: Services };
  /**
   * Connects the metrics to the core's own values, and to these values of the listener or hook that receives
   * requests.
   */
  watch(receiver: Pick<MetricSources, 'ready' | 'certificates' | 'pools' | 'bufferedBytes'>): void;
  /** Ends the core: sends the remaining spans and closes the connections to other services. */
  close(): Promise<void>;
}

/** What a core needs in addition to the settings. */
export interface CoreOptions {
  readonly output: LogOutput;
  readonly clock: Clock;
  /** Loads and checks the rules for a reload. If undefined, the rules stay as they are. */
  readonly load: ReloadOptions['load'] | undefined;
}

/**
 * Builds the core of one gateway, or of one plugin in an application.
 *
 * @param table the first rule set
 */
export async function startCore(
  settings: Settings,
  table: RuleTable,
  { output, clock, load }: CoreOptions,
): Promise<Core> {
  const { log } = output;
  const metrics = createMetrics();
  const recent = createRecent(RECENT, () => clock.wall() * 1000);
  const tracing = await startTracing(settings, metrics, output);
  const introspection = await startIntrospection(settings, clock, metrics, log);
  const accounts = createAccounts(settings, output, metrics, recent);
  const rules = new RulesInForce(table, load, clock, metrics, log);
  const files = new RereadFilesWatch(settings, clock, log);
  const looking = setInterval(() => files.sample(), LOOKING).unref();
  const possession = possessionOptions(settings.proof, introspection.shared, () => metrics.proofUnshared());
  const services = {
    introspect: introspection.introspector.introspect,
    stale: introspection.introspector.stale,
    ...introspection.outbound,
    possession: createPossessionVerifier(possession, clock.wall),
    clientAddress: clientAddressReader(settings.trustedProxies),
    now: clock.wall,
    fieldEncoding: settings.forward.fieldEncoding,
  } satisfies Services;
  return {
    metrics,
    recent,
    introspection,
    accounts,
    rules,
    files,
    entrance: {
      rules: () => rules.table,
      services,
      admit: accounts.admit,
      inFlight: accounts.inFlight,
      audit: accounts.audit,
      tracing,
      onFault: accounts.onFault,
      realm: settings.realm,
      maxTargetBytes: settings.forward.maxTargetBytes,
    },
    watch(receiver) {
      const { cache, introspector } = introspection;
      metrics.watch({
        ...receiver,
        rules: () => rules.table,
        cache: () => ({
          ...(cache?.size ?? { active: 0, inactive: 0 }),
          bytes: cache?.bytes ?? 0,
          evictions: cache?.evictions ?? 0,
        }),
        servers: introspector.servers,
        refreshes: introspector.refreshes,
        inFlight: () => accounts.inFlight.inFlight,
        admittedShare: () => accounts.inFlight.share,
        droppedLines: output.dropped,
      });
    },
    async close() {
      clearInterval(looking);
      accounts.close();
      await Promise.all([rules.reloader?.close(), introspection.close(), tracing?.close()]);
    },
  };
}

/** Loads the SDK only if spans are exported, so that it takes no memory in a gateway that does not trace. */
async function startTracing(
  { tracing: { endpoint, ...sampling } }: Settings,
  metrics: Metrics,
  { log }: LogOutput,
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
