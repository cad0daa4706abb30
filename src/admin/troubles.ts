import { type Finding, formatFinding, isError } from '../document/finding.js';
import type { Clock } from '../model/clock.js';
import type { ErrorName } from '../model/errors.js';
import type { ServerState } from '../model/introspection.js';
import type { RuleTable } from '../model/rule.js';
import type { PoolState } from '../model/upstream.js';
import type { RuleCounts } from '../observe/metric-events.js';
import { withoutQuery } from '../observe/redaction.js';
import { expiryProblem } from '../tls/expiry.js';
import { type SharedCacheState, sharedCacheTrouble } from './shared-cache-trouble.js';

/** Something that an operator should know now, as `/status` tells it. */
export interface TroubleJson {
  readonly kind:
    | 'authorization-server'
    | 'certificate'
    | 'file'
    | 'log'
    | 'not-serving'
    | 'observing'
    | 'overload'
    | 'pool'
    | 'reload'
    | 'shared-cache'
    | 'upstream';
  /** `error`: clients are refused because of it, or will be soon. */
  readonly severity: 'error' | 'warning';
  /** What it is about: a URL, an origin, a listener. Absent if it is about the gateway as a whole. */
  readonly subject?: string;
  /** One sentence. */
  readonly message: string;
  /** What was found: findings (`file:line:col level code message`), causes, counts. */
  readonly details: readonly string[];
  /** When it began, in ISO 8601; absent if that is not known. */
  readonly since?: string;
  /** Of `shared-cache`: whether the last command failed, or some did. */
  readonly state?: SharedCacheState['state'];
  /** Of `shared-cache`: the number of failures since it last worked. */
  readonly failures?: number;
  /** Of `shared-cache`: when the last command failed, in ISO 8601. */
  readonly lastFailure?: string;
}

/** A failure that another part of the gateway remembers, with its time in seconds since 1970. */
export interface LastFailure {
  readonly cause: string;
  readonly at: number;
}

/** The state of a listener's certificates. */
export interface CertificateState {
  readonly listener: string;
  /** Seconds since 1970. */
  readonly expiresAt: number;
  /** The last attempt to renew them, if it failed. */
  readonly failure?: LastFailure | undefined;
}

/** A file of a secret, a key or certificates that could not be read again. */
export interface FileState extends LastFailure {
  readonly file: string;
}

/** Where troubles are found. */
export interface TroubleSources {
  /** One word on whether requests are served; `ok` if they are. */
  readonly status: () => string;
  readonly table: () => RuleTable;
  /** The last reload, if it failed; the time in seconds since 1970. */
  readonly failedReload: () => { readonly at: number; readonly findings: readonly Finding[] } | undefined;
  readonly certificates: () => readonly CertificateState[];
  /** The files whose last change is not in use. */
  readonly files: () => readonly FileState[];
  readonly servers: () => readonly ServerState[];
  /** The last failed call to each authorization server, by its URL without the query. */
  readonly serverFailures: () => ReadonlyMap<string, LastFailure>;
  readonly pools: () => readonly PoolState[];
  /** Requests that failed so far, and those that overload protection refused. */
  readonly failed: () => number;
  readonly shed: () => number;
  /** Undefined if the shared cache works, or there is none. */
  readonly sharedCache: () => SharedCacheState | undefined;
  /** Log lines that were dropped so far. */
  readonly droppedLines: () => number;
  readonly counts: () => ReadonlyMap<string, RuleCounts>;
}

/** How long an event counts as a trouble, in milliseconds. */
const FRESH = 60_000;
/** The most details of one trouble. */
const MAX_DETAILS = 10;

const UPSTREAM_ERRORS = ['upstream_unreachable', 'upstream_invalid', 'upstream_timeout'] as const;

/** A counter that has grown within the last minute. */
interface Growth {
  /** Its value at the last check. */
  seen: number;
  /** By how much it has grown since the trouble began. */
  by: number;
  /** Monotonic milliseconds; undefined if it has never grown. */
  last: number | undefined;
  /** Seconds since 1970. */
  since: number;
}

/** Finds troubles. Once a second it reads counters that exist anyway, so it costs requests nothing. */
export class Troubles {
  readonly #sources: TroubleSources;
  readonly #clock: Clock;
  readonly #growths = new Map<string, Growth>();
  #failed = 0;
  /** By server: when its circuit breaker was first seen to be open, in seconds since 1970. */
  readonly #opened = new Map<string, number>();

  constructor(sources: TroubleSources, clock: Clock) {
    this.#sources = sources;
    this.#clock = clock;
  }

  /** Reads the counters. */
  sample(): void {
    const { pools, servers, shed, droppedLines, failed } = this.#sources;
    for (const { origin, turnedAway } of pools()) this.#look(`pool ${origin}`, turnedAway);
    this.#look('shed', shed());
    this.#look('log', droppedLines());
    for (const { url, breaker } of servers()) {
      const subject = withoutQuery(url);
      if (breaker === 'closed') this.#opened.delete(subject);
      else if (!this.#opened.has(subject)) this.#opened.set(subject, this.#clock.wall());
    }
    const now = failed();
    if (now === this.#failed) return;
    // The errors of upstreams can only have grown if the number of failures has, so the rules need not be
    // counted every second.
    this.#failed = now;
    for (const [origin, errors] of this.#upstreamErrors()) {
      for (const [error, count] of errors) this.#look(`upstream ${origin} ${error}`, count);
    }
  }

  /** Returns the current troubles, the worst first. */
  list(): TroubleJson[] {
    this.sample();
    const all = [
      ...this.#serving(),
      ...this.#reload(),
      ...this.#servers(),
      ...this.#upstreams(),
      ...this.#pools(),
      ...this.#certificates(),
      ...this.#files(),
      ...this.#gateway(),
    ];
    return all.sort((a, b) => Number(a.severity === 'warning') - Number(b.severity === 'warning'));
  }

  #look(key: string, count: number): void {
    const growth = this.#growths.get(key);
    if (growth === undefined) {
      if (count > 0) this.#growths.set(key, this.#grown(count, count));
      return;
    }
    if (count > growth.seen) {
      const { by, since } = this.#isFresh(growth) ? growth : { by: 0, since: this.#clock.wall() };
      const more = by + count - growth.seen;
      this.#growths.set(key, { ...this.#grown(count, more), since });
    } else growth.seen = count;
  }

  #grown(seen: number, by: number): Growth {
    return { seen, by, last: this.#clock.monotonic(), since: this.#clock.wall() };
  }

  #isFresh({ last }: Growth): boolean {
    return last !== undefined && this.#clock.monotonic() - last < FRESH;
  }

  #fresh(key: string): Growth | undefined {
    const growth = this.#growths.get(key);
    return growth !== undefined && this.#isFresh(growth) ? growth : undefined;
  }

  /** The errors of each upstream so far. */
  #upstreamErrors(): Map<string, Map<ErrorName, number>> {
    const { counts, table } = this.#sources;
    const byOrigin = new Map<string, Map<ErrorName, number>>();
    const tallies = counts();
    for (const { id, upstream } of table().rules) {
      const denials = tallies.get(id)?.denials;
      if (denials === undefined || denials.size === 0) continue;
      const errors = byOrigin.get(upstream.origin) ?? new Map<ErrorName, number>();
      byOrigin.set(upstream.origin, errors);
      for (const error of UPSTREAM_ERRORS) {
        errors.set(error, (errors.get(error) ?? 0) + (denials.get(error) ?? 0));
      }
    }
    return byOrigin;
  }

  #serving(): TroubleJson[] {
    const status = this.#sources.status();
    if (status === 'ok') return [];
    const message =
      status === 'draining'
        ? 'scopegate drains: it finishes the requests in flight and accepts no new connections.'
        : `scopegate is not ready: ${status}.`;
    return [{ kind: 'not-serving', severity: 'error', message, details: [] }];
  }

  #reload(): TroubleJson[] {
    const failed = this.#sources.failedReload();
    if (failed === undefined) return [];
    const errors = failed.findings.filter(isError);
    const shown = errors.slice(0, MAX_DETAILS).map(formatFinding);
    const more = errors.length - shown.length;
    return [
      {
        kind: 'reload',
        severity: 'error',
        message: 'The last reload of the rules failed. The old rules stay in use.',
        details: more > 0 ? [...shown, `and ${more} more`] : shown,
        since: iso(failed.at),
      },
    ];
  }

  #servers(): TroubleJson[] {
    const { servers, serverFailures } = this.#sources;
    const failures = serverFailures();
    return servers().flatMap(({ url, breaker }): TroubleJson[] => {
      const subject = withoutQuery(url);
      const failure = failures.get(subject);
      const isRecent = failure !== undefined && this.#clock.wall() - failure.at < FRESH / 1000;
      if (breaker === 'closed' && !isRecent) return [];
      const about = { kind: 'authorization-server', subject } as const;
      const details = failure === undefined ? [] : [failure.cause];
      if (breaker === 'closed') {
        const message = `Introspection at ${subject} failed in the last minute.`;
        return [{ ...about, severity: 'warning', message, details, since: iso(failure?.at ?? 0) }];
      }
      const what = breaker === 'open' ? 'is open' : 'is half-open: scopegate tries the server again';
      const message = `The circuit breaker of ${subject} ${what}. Requests whose token is not in the cache get 503.`;
      const opened = this.#opened.get(subject);
      return [
        {
          ...about,
          severity: 'error',
          message,
          details,
          ...(opened === undefined ? {} : { since: iso(opened) }),
        },
      ];
    });
  }

  #upstreams(): TroubleJson[] {
    const origins = new Set(this.#sources.table().rules.map(({ upstream }) => upstream.origin));
    return [...origins].flatMap((origin): TroubleJson[] => {
      const fresh = UPSTREAM_ERRORS.flatMap((error) => {
        const growth = this.#fresh(`upstream ${origin} ${error}`);
        return growth === undefined ? [] : [{ error, growth }];
      });
      if (fresh.length === 0) return [];
      return [
        {
          kind: 'upstream',
          severity: 'error',
          subject: origin,
          message: `Requests to ${origin} fail.`,
          details: fresh.map(({ error, growth }) => `${error}: ${growth.by} ${requests(growth.by)}`),
          since: iso(Math.min(...fresh.map(({ growth }) => growth.since))),
        },
      ];
    });
  }

  #pools(): TroubleJson[] {
    return this.#sources.pools().flatMap(({ origin, waiting }): TroubleJson[] => {
      const growth = this.#fresh(`pool ${origin}`);
      if (growth === undefined && waiting === 0) return [];
      const details = growth === undefined ? [] : [`refused: ${growth.by} ${requests(growth.by)}`];
      return [
        {
          kind: 'pool',
          severity: growth === undefined ? 'warning' : 'error',
          subject: origin,
          message: `All connections to ${origin} are in use, and requests wait for one.`,
          details: waiting > 0 ? [`waiting: ${waiting} ${requests(waiting)}`, ...details] : details,
          ...(growth === undefined ? {} : { since: iso(growth.since) }),
        },
      ];
    });
  }

  #certificates(): TroubleJson[] {
    const now = this.#clock.wall();
    return this.#sources.certificates().flatMap(({ listener, expiresAt, failure }): TroubleJson[] => {
      const about = { kind: 'certificate', subject: listener } as const;
      const troubles: TroubleJson[] = [];
      const problem = expiryProblem(expiresAt, now);
      if (problem !== undefined) {
        troubles.push({
          ...about,
          severity: problem.isOver ? 'error' : 'warning',
          message: `A certificate of the ${listener} listener ${problem.message}.`,
          details: [iso(expiresAt)],
        });
      }
      if (failure !== undefined) {
        const message = `The certificates of the ${listener} listener could not be renewed. The old ones stay in use.`;
        troubles.push({
          ...about,
          severity: 'warning',
          message,
          details: [failure.cause],
          since: iso(failure.at),
        });
      }
      return troubles;
    });
  }

  #files(): TroubleJson[] {
    return this.#sources.files().map(({ file, cause, at }): TroubleJson => {
      const message =
        'A file was changed and cannot be used. The old value stays in use until the next start, which will fail.';
      return {
        kind: 'file',
        severity: 'warning',
        subject: file,
        message,
        details: [cause],
        since: iso(at),
      };
    });
  }

  #gateway(): TroubleJson[] {
    const troubles: TroubleJson[] = [];
    const shed = this.#fresh('shed');
    if (shed !== undefined) {
      troubles.push({
        kind: 'overload',
        severity: 'error',
        message: 'scopegate is overloaded, and refuses requests unread with 503.',
        details: [`refused: ${shed.by} ${requests(shed.by)}`],
        since: iso(shed.since),
      });
    }
    const shared = this.#sources.sharedCache();
    if (shared !== undefined && this.#clock.wall() - shared.last < FRESH / 1000) {
      troubles.push(sharedCacheTrouble(shared));
    }
    const log = this.#fresh('log');
    if (log !== undefined) {
      troubles.push({
        kind: 'log',
        severity: 'warning',
        message:
          'Log lines are dropped, audit lines too: their reader is too slow or gone, or the disk is full.',
        details: [`dropped: ${log.by} ${log.by === 1 ? 'line' : 'lines'}`],
        since: iso(log.since),
      });
    }
    const { rules } = this.#sources.table();
    const observing = rules.filter(({ observes }) => observes === true).length;
    if (observing > 0) {
      troubles.push({
        kind: 'observing',
        severity: 'warning',
        message: `Not enforced: ${observing} of ${rules.length} rules only observe. Requests that they would deny are forwarded.`,
        details: [],
      });
    }
    return troubles;
  }
}

function iso(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}

function requests(count: number): string {
  return count === 1 ? 'request' : 'requests';
}
