import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { observing, rulesJson, statusJson } from '../admin/overview.js';
import type { Recent } from '../admin/recent.js';
import type { Series } from '../admin/series.js';
import { createAdmin, type PurgeCall, type Readiness } from '../admin/server.js';
import type { Troubles } from '../admin/troubles.js';
import { signingKeys } from '../auth/mutators/chain.js';
import type { Settings } from '../config/settings.js';
import { createDecisionEndpoint } from '../forward-auth/endpoint.js';
import type { RuleTable } from '../model/rule.js';
import type { Metrics } from '../observe/metric-events.js';
import type { EntranceOptions } from '../observe/request-record.js';
import { peerReader } from '../parse/peer.js';
import type { Forwarder } from '../proxy/forwarder.js';
import { explain, explanationJson } from '../rules/explain.js';
import type { Certificates } from './certificates.js';
import type { Introspection } from './introspection.js';
import type { RequestAccounts } from './requests.js';
import type { RulesInForce } from './rules-in-force.js';

const LOOPBACK = ['127.0.0.0/8', '::1'];
/** How much a proxy adds to its client's header fields when it asks for a decision, in bytes. */
const QUESTION_BYTES = 4_096;

/** What the admin listener shows and does. */
export interface AdminParts {
  readonly settings: Settings;
  readonly entrance: Omit<EntranceOptions, 'peerOf'>;
  readonly rules: RulesInForce;
  /** One word on whether requests are served; `ok` if they are. */
  readonly status: () => string;
  readonly metrics: Metrics;
  readonly recent: Recent;
  readonly series: Series;
  readonly troubles: Troubles;
  readonly accounts: RequestAccounts;
  readonly introspection: Introspection;
  readonly forwarder: Forwarder;
  readonly certificates: Certificates;
  readonly log: Logger;
  /** When the gateway started, ISO 8601. */
  readonly started: string;
}

/** Builds the admin listener of one gateway: health, metrics, forward-auth, the admin page. */
export function createAdminListener(parts: AdminParts): FastifyInstance {
  const { settings, entrance, rules, status, metrics, recent, accounts, introspection, forwarder } = parts;
  const { cache: limits } = settings.introspection;
  const { introspector, cache } = introspection;
  const isLocal = peerReader(LOOPBACK);
  const decisions = createDecisionEndpoint({
    ...entrance,
    ...settings.decisions,
    peerOf: peerReader(settings.trustedProxies.length === 0 ? LOOPBACK : settings.trustedProxies),
  });
  return createAdmin({
    ready: () => {
      const last = rules.lastReload;
      return {
        ready: status() === 'ok',
        status: status(),
        rules: { version: rules.table.version, ...(last === undefined ? {} : { lastReload: last }) },
        ...enforcementOf(rules.table),
      };
    },
    decisions,
    metrics,
    keys: () => signingKeys(rules.table.rules.map(({ mutators }) => mutators)),
    rules: () => rulesJson(rules.table, settings.matching.overlap, rules.lastReload),
    status: (seq) =>
      statusJson({
        started: parts.started,
        ready: status(),
        table: rules.table,
        inFlight: accounts.inFlight.inFlight,
        counts: metrics.counts(),
        cache: cache && {
          ...cache.size,
          bytes: cache.bytes,
          evictions: cache.evictions,
          maxEntries: limits.maxEntries,
          negativeMaxEntries: limits.negativeMaxEntries,
        },
        servers: introspector.servers(),
        pools: forwarder.pools(),
        certificates: parts.certificates.states,
        troubles: parts.troubles.list(),
        recent: recent.after(seq),
      }),
    settings: () => ({ file: settings.file, settings: settings.inForce }),
    series: (step) => parts.series.read(step),
    explain: ({ method, url, ...token }) => {
      const question = Object.keys(token).length === 0 ? { method, url } : { method, url, token };
      return explanationJson(method, url, explain(rules.table, question));
    },
    purge: async (which) => {
      const { count, told } = introspection.purge(which);
      // The caller must learn whether the other gateways were told.
      return told === undefined ? { purged: count } : { purged: count, told: await told };
    },
    onPurge: (purge) => logPurge(parts.log, purge),
    access: { ...settings.admin, isLocal: (socket) => isLocal(socket).trusted },
    tls: parts.certificates.admin,
    // A forward-auth request carries its client's fields, and the target a second time.
    maxHeaderBytes: settings.forward.maxHeaderBytes + settings.forward.maxTargetBytes + QUESTION_BYTES,
  });
}

/** Writes one line about each call to purge the cache. */
function logPurge(log: Logger, purge: PurgeCall): void {
  if (purge.status >= 400) log.warn(purge, 'purge refused');
  else if (purge.told === false) {
    log.error(purge, 'cache purged here alone: the other gateways were not told, so purge at every gateway');
  } else log.info(purge, 'cache purged');
}

/** What `/health/ready` reports while rules only observe. */
function enforcementOf({ rules }: RuleTable): Pick<Readiness, 'enforcement'> {
  const count = observing({ rules });
  if (count === 0) return {};
  const warning = 'requests that these rules would deny are forwarded (enforcement: observe)';
  return { enforcement: { observing: count, rules: rules.length, warning } };
}
