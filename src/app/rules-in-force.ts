import type { Logger } from 'pino';
import type { LastReload } from '../admin/server.js';
import { type Finding, formatFinding, isError } from '../document/finding.js';
import type { Clock } from '../model/clock.js';
import type { RuleTable } from '../model/rule.js';
import type { Metrics } from '../observe/metric-events.js';
import { traceOf } from '../observe/redaction.js';
import { createReloader, type Reloader, type ReloadOptions, type ReloadState } from '../rules/reload.js';

/**
 * The rule set in use. A reload replaces it in one step. Requests in flight keep the rule set they started
 * with.
 */
export class RulesInForce {
  #table: RuleTable;
  /** Undefined if rules cannot be reloaded. */
  readonly reloader: Reloader | undefined;

  /** @param load loads and checks the rules for a reload; if undefined, the rules stay as they are */
  constructor(
    first: RuleTable,
    load: ReloadOptions['load'] | undefined,
    clock: Clock,
    metrics: Metrics,
    log: Logger,
  ) {
    this.#table = first;
    warnOfObserving(log, first);
    this.reloader =
      load &&
      createReloader(first, {
        load,
        use: (next) => {
          this.#table = next;
          warnOfObserving(log, next);
        },
        done: (state) => {
          metrics.reloaded(state.ok, state.at);
          logReload(log, state);
        },
        now: clock.wall,
      });
  }

  get table(): RuleTable {
    return this.#table;
  }

  /** The last reload, if it failed: when, in seconds since 1970, and what was found. */
  get failedReload(): { at: number; findings: readonly Finding[] } | undefined {
    const state = this.reloader?.state;
    return state === undefined || state.ok ? undefined : state;
  }

  /** The result of the last reload; undefined if rules cannot be reloaded. */
  get lastReload(): LastReload | undefined {
    if (this.reloader === undefined) return undefined;
    const { ok, at, findings } = this.reloader.state;
    const errors = findings.filter(isError).length;
    return { ok, at: new Date(at * 1000).toISOString(), errors };
  }
}

/** Warns at every start and reload that denied requests pass. */
function warnOfObserving(log: Logger, { rules }: RuleTable): void {
  const observing = rules.filter(({ observes }) => observes === true);
  if (observing.length === 0) return;
  const ids = observing.slice(0, 20).map(({ id }) => id);
  log.warn(
    { enforcement: 'observe', observing: observing.length, rules: rules.length, ids },
    'enforcement is observe: requests that these rules would deny are forwarded',
  );
}

/** Logs the result of a reload, with one line for each finding. */
function logReload(log: Logger, { ok, version, findings, fault }: ReloadState): void {
  for (const finding of findings) log.warn({ finding: formatFinding(finding) }, 'rules');
  if (ok) log.info({ version }, 'rules reloaded');
  else {
    const err = fault === undefined ? undefined : traceOf(fault);
    const errors = findings.filter(isError);
    const [first] = errors.map(formatFinding);
    log.error(
      { version, errors: errors.length, finding: first, err },
      'rules not reloaded: the old rules stay in use',
    );
  }
}
