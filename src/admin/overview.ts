import type { ServerState } from '../model/introspection.js';
import type { RuleTable } from '../model/rule.js';
import type { PoolState } from '../model/upstream.js';
import type { CacheState, RuleCounts } from '../observe/metrics.js';
import { version } from '../observe/version.js';
import type { RecentDecision } from './recent.js';
import type { LastReload } from './server.js';

/**
 * The rules in force as the admin port shows them.
 *
 * @param overlap the setting `matching.overlap`
 */
export function rulesJson(table: RuleTable, overlap: string, lastReload: LastReload | undefined): object {
  const { overlaps } = table;
  return {
    version: table.version,
    lastReload,
    proof: {
      overlap,
      /** Rules that lie inside others and win there. */
      specific: overlaps?.specific ?? [],
      /** Pairs that may overlap and were accepted unproved; a request that both match is answered by neither. */
      unproved: overlaps?.unproved ?? [],
    },
    rules: table.rules.map((rule) => ({
      id: rule.id,
      source: rule.source,
      hosts: rule.hosts,
      methods: rule.methods,
      path: rule.path,
      strategies: rule.strategies.map(({ handler, requiredScopes }) => ({ handler, scopes: requiredScopes })),
      upstream: rule.document === undefined ? rule.upstream.origin : 'this gateway',
      timeoutMs: rule.timeout,
      allows: rule.allows,
    })),
  };
}

/** What changes all the time. */
export interface StatusParts {
  /** ISO 8601; another value means another process. */
  readonly started: string;
  readonly ready: string;
  readonly table: RuleTable;
  readonly inFlight: number;
  readonly counts: ReadonlyMap<string, RuleCounts>;
  readonly cache:
    | (CacheState & { readonly maxEntries: number; readonly negativeMaxEntries: number })
    | undefined;
  readonly servers: readonly ServerState[];
  readonly pools: readonly PoolState[];
  readonly recent: readonly RecentDecision[];
}

/** The state of the gateway and its last decisions, as the admin page polls for them. No token is in it. */
export function statusJson(parts: StatusParts): object {
  const { started, ready, table, inFlight, counts, cache, servers, pools, recent } = parts;
  return {
    version,
    started,
    ready,
    rules: { version: table.version, count: table.rules.length },
    inFlight,
    counts: Object.fromEntries([...counts].map(([id, { allowed, denied }]) => [id, { allowed, denied }])),
    cache,
    // A query may hold a key.
    servers: servers.map(({ url, ...rest }) => ({ url: url.replace(/\?.*/s, ''), ...rest })),
    pools,
    recent: recent.map(({ seq, at, entry }) => ({
      seq,
      at: new Date(at).toISOString(),
      entrance: entry.entrance,
      requestId: entry.requestId,
      method: entry.method,
      host: entry.host,
      path: entry.path,
      rule: entry.rule,
      decision: entry.decision,
      status: entry.status,
      error: entry.error,
      reason: entry.reason,
      cause: entry.cause,
      subject: entry.subject,
      clientId: entry.clientId,
      introspection: entry.introspection,
      ms: Math.round(entry.ms * 1000) / 1000,
    })),
  };
}
