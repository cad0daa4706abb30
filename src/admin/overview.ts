import type { ServerState } from '../model/introspection.js';
import type { RuleTable } from '../model/rule.js';
import type { PoolState } from '../model/upstream.js';
import type { RuleCounts } from '../observe/metric-events.js';
import type { CacheState } from '../observe/metric-sources.js';
import { version } from '../observe/version.js';
import type { RecentDecision } from './recent.js';
import type { LastReload } from './server.js';

/**
 * The rules in use, as `/rules` returns them.
 *
 * @param overlap the setting `matching.overlap`
 * @param lastReload the last reload; undefined if there was none
 */
export function rulesJson(table: RuleTable, overlap: string, lastReload: LastReload | undefined): object {
  const { overlaps } = table;
  return {
    version: table.version,
    lastReload,
    proof: {
      overlap,
      /** Rules that match a part of another rule's requests and decide those instead of it. */
      specific: overlaps?.specific ?? [],
      /** Pairs of rules that the analysis could not prove apart. A request that both match is refused. */
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
      rewrite: rule.rewrite,
      preserveHost: rule.preserveHost,
      authorizers: rule.authorizers,
      errors: rule.errors?.map(({ handler }) => handler),
      enforcement: rule.observes === true ? 'observe' : 'enforce',
      allows: rule.allows,
    })),
  };
}

/** How many rules only observe. */
export function observing({ rules }: Pick<RuleTable, 'rules'>): number {
  return rules.filter(({ observes }) => observes === true).length;
}

/** The state that `/status` returns. */
export interface StatusParts {
  /** When the process started, in ISO 8601. Another value means another process. */
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

/** The state of the gateway and its last decisions, as `/status` returns them. It contains no token. */
export function statusJson(parts: StatusParts): object {
  const { started, ready, table, inFlight, counts, cache, servers, pools, recent } = parts;
  return {
    version,
    started,
    ready,
    rules: { version: table.version, count: table.rules.length, observing: observing(table) },
    inFlight,
    counts: Object.fromEntries([...counts].map(([id, { allowed, denied }]) => [id, { allowed, denied }])),
    cache,
    // Removes the query, which may contain a key.
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
      upstreamPath: entry.upstreamPath,
      rule: entry.rule,
      decision: entry.decision,
      wouldDeny: entry.wouldDeny,
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
