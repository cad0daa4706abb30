import type { ServerState } from '../model/introspection.js';
import type { RuleTable } from '../model/rule.js';
import type { PoolState } from '../model/upstream.js';
import type { AuditEntry } from '../observe/audit.js';
import type { RuleCounts } from '../observe/metric-events.js';
import type { CacheState } from '../observe/metric-sources.js';
import { version } from '../observe/version.js';
import type { RecentDecision } from './recent.js';
import type { LastReload } from './server.js';
import type { CertificateState, TroubleJson } from './troubles.js';

/** What `GET /rules` returns: the rules in use. */
export interface RulesJson {
  /** Grows with every reload. */
  readonly version: number;
  /** Absent if there was none. */
  readonly lastReload?: LastReload | undefined;
  /** What the overlap analysis found. */
  readonly proof: {
    /** The setting `matching.overlap`. */
    readonly overlap: string;
    /** Rules that match a part of another rule's requests and decide those instead of it. */
    readonly specific: readonly string[];
    /**
     * Pairs of rules that may overlap, because the analysis could not prove that they do not. A request that
     * both match is refused.
     */
    readonly unproved: readonly (readonly [string, string])[];
    /** Each rule of `specific` with each rule directly around it. Absent if there are too many pairs. */
    readonly inside?: readonly (readonly [inner: string, outer: string])[] | undefined;
  };
  readonly rules: readonly RuleJson[];
}

/** One rule of `/rules`. */
export interface RuleJson {
  /** `namespace/name#index` */
  readonly id: string;
  /** `file:line:col` */
  readonly source: string;
  readonly hosts: readonly string[];
  readonly methods: readonly string[];
  readonly path: string;
  readonly strategies: readonly { readonly handler: string; readonly scopes: readonly string[] }[];
  /** The upstream's origin, or `this gateway`. */
  readonly upstream: string;
  readonly timeoutMs: number;
  readonly rewrite?: { readonly strip: string; readonly base: string } | undefined;
  readonly preserveHost?: boolean | undefined;
  readonly authorizers?: readonly string[] | undefined;
  /** The names of its error handlers. */
  readonly errors?: readonly string[] | undefined;
  readonly enforcement: 'observe' | 'enforce';
  /** What request paths may contain beyond the strict default. */
  readonly allows: Readonly<Record<string, boolean>>;
}

/**
 * The rules in use, as `/rules` returns them.
 *
 * @param overlap the setting `matching.overlap`
 * @param lastReload the last reload; undefined if there was none
 */
export function rulesJson(table: RuleTable, overlap: string, lastReload: LastReload | undefined): RulesJson {
  const { overlaps } = table;
  return {
    version: table.version,
    lastReload,
    proof: {
      overlap,
      specific: overlaps?.specific ?? [],
      unproved: overlaps?.unproved ?? [],
      inside: overlaps?.inside,
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
      allows: { ...rule.allows },
    })),
  };
}

/** How many rules only observe. */
export function observing({ rules }: Pick<RuleTable, 'rules'>): number {
  return rules.filter(({ observes }) => observes === true).length;
}

/** The state of the cache and its limits. */
interface CacheJson extends CacheState {
  readonly maxEntries: number;
  readonly negativeMaxEntries: number;
}

/** What `GET /status` returns: the gateway now, and its last decisions. It contains no token. */
export interface StatusJson {
  /** scopegate's version. */
  readonly version: string;
  /** When the process started, in ISO 8601. Another value means another process. */
  readonly started: string;
  /** `ok`, or why scopegate is not ready. */
  readonly ready: string;
  /** What an operator should know now, the worst first. */
  readonly troubles: readonly TroubleJson[];
  readonly rules: { readonly version: number; readonly count: number; readonly observing: number };
  /** Requests in flight. */
  readonly inFlight: number;
  /** By rule; rules without requests are absent. `none` are requests that no rule matched. */
  readonly counts: Readonly<Record<string, { readonly allowed: number; readonly denied: number }>>;
  /** Absent if the cache is off. */
  readonly cache?: CacheJson | undefined;
  readonly servers: readonly ServerState[];
  readonly pools: readonly PoolState[];
  readonly certificates: readonly CertificateJson[];
  /** The oldest first. */
  readonly recent: readonly DecisionJson[];
}

/** The certificates of one listener. */
export interface CertificateJson {
  readonly listener: string;
  /** When the first of them expires, in ISO 8601. */
  readonly expires: string;
}

/** One decision of `/status`. The fields are those of the audit line. */
export interface DecisionJson
  extends Pick<
    AuditEntry,
    | 'entrance'
    | 'requestId'
    | 'traceId'
    | 'peer'
    | 'method'
    | 'host'
    | 'path'
    | 'upstreamPath'
    | 'rule'
    | 'decision'
    | 'wouldDeny'
    | 'status'
    | 'error'
    | 'reason'
    | 'cause'
    | 'subject'
    | 'clientId'
    | 'introspection'
    | 'introspectionMs'
    | 'decisionMs'
    | 'upstreamStatus'
    | 'upstreamMs'
    | 'revocation'
    | 'ms'
  > {
  /** Counts up from 1. */
  readonly seq: number;
  /** When the request ended, in ISO 8601. */
  readonly at: string;
}

/** The state that `/status` returns. */
export interface StatusParts
  extends Omit<StatusJson, 'version' | 'rules' | 'counts' | 'certificates' | 'recent'> {
  readonly table: RuleTable;
  readonly counts: ReadonlyMap<string, RuleCounts>;
  readonly certificates: readonly CertificateState[];
  readonly recent: readonly RecentDecision[];
}

/** The state of the gateway and its last decisions, as `/status` returns them. It contains no token. */
export function statusJson(parts: StatusParts): StatusJson {
  const { table, counts, servers, certificates, recent, ...same } = parts;
  return {
    version,
    ...same,
    rules: { version: table.version, count: table.rules.length, observing: observing(table) },
    counts: Object.fromEntries([...counts].map(([id, { allowed, denied }]) => [id, { allowed, denied }])),
    // Removes the query, which may contain a key.
    servers: servers.map(({ url, ...rest }) => ({ url: url.replace(/\?.*/s, ''), ...rest })),
    certificates: certificates.map(({ listener, expiresAt }) => ({
      listener,
      expires: new Date(expiresAt * 1000).toISOString(),
    })),
    recent: recent.map(({ seq, at, entry }) => ({
      seq,
      at: new Date(at).toISOString(),
      entrance: entry.entrance,
      requestId: entry.requestId,
      traceId: entry.traceId,
      peer: entry.peer,
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
      introspectionMs: rounded(entry.introspectionMs),
      decisionMs: rounded(entry.decisionMs),
      upstreamStatus: entry.upstreamStatus,
      upstreamMs: rounded(entry.upstreamMs),
      revocation: entry.revocation,
      ms: rounded(entry.ms),
    })),
  };
}

/** Milliseconds with three digits. */
function rounded<T extends number | undefined>(ms: T): T {
  return (ms === undefined ? ms : Math.round(ms * 1000) / 1000) as T;
}
