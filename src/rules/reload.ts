import type { Finding } from '../document/finding.js';
import type { RuleTable } from '../model/rule.js';
import type { LoadedOffThread } from './off-thread.js';

/** How the last attempt to load the rules went, for `/health/ready`, metrics and the log. */
export interface ReloadState {
  readonly ok: boolean;
  /** Seconds since 1970. */
  readonly at: number;
  /** The version in force. */
  readonly version: number;
  /** What was wrong; the set in force is then the one from before. */
  readonly findings: readonly Finding[];
  /** Present if loading failed by a bug of scopegate's own. */
  readonly fault?: unknown;
}

/** What a reloader works with. */
export interface ReloadOptions {
  /**
   * Loads and proves a whole set.
   *
   * @param version of the new table
   * @param signal ends it; the promise is then rejected
   * @returns without `table` if anything is wrong
   */
  readonly load: (version: number, signal: AbortSignal) => Promise<Omit<LoadedOffThread, 'digest'>>;
  /** Puts a set in force. */
  readonly use: (table: RuleTable) => void;
  /** Told after each attempt, but not of those that another one replaced. */
  readonly done: (state: ReloadState) => void;
  /** Seconds since 1970. */
  readonly now: () => number;
}

/** Loads rules again on request. */
export interface Reloader {
  /**
   * Builds a whole new set and puts it in force, or keeps the old one: never something in between. A load that is under
   * way is of files that have changed since: it is ended and begun anew.
   *
   * @returns how it went; undefined if the reloader was closed meanwhile
   */
  reload(): Promise<ReloadState | undefined>;
  readonly state: ReloadState;
  /** Ends what is under way; nothing is put in force afterwards. */
  close(): Promise<void>;
}

/** Loads that are begun anew one after the other: files that always change must not keep all of them from ending. */
const MAX_RESTARTS = 5;

/**
 * Builds a reloader.
 *
 * @param first the set that is in force already
 */
export function createReloader(first: RuleTable, options: ReloadOptions): Reloader {
  let version = first.version;
  let state: ReloadState = { ok: true, at: options.now(), version, findings: [] };
  let running: Promise<ReloadState | undefined> | undefined;
  let current = new AbortController();
  /** Whether somebody asked since the load that is under way began. */
  let isStale = false;
  let restarts = 0;
  let closed = false;

  async function run(): Promise<ReloadState | undefined> {
    for (;;) {
      if (closed) return undefined;
      isStale = false;
      current = new AbortController();
      const loaded = await attempt(options, version + 1, current.signal);
      if (closed) return undefined;
      if (loaded !== undefined) {
        restarts = 0;
        const { table, findings, fault } = loaded;
        if (table !== undefined) {
          version = table.version;
          options.use(table);
        }
        const ok = table !== undefined;
        state = { ok, at: options.now(), version, findings, ...(fault === undefined ? {} : { fault }) };
        options.done(state);
      }
      if (!isStale) return state;
    }
  }

  return {
    reload() {
      if (running === undefined) {
        running = run().finally(() => {
          running = undefined;
        });
      } else {
        isStale = true;
        if (++restarts <= MAX_RESTARTS) current.abort();
      }
      return running;
    },
    get state() {
      return state;
    },
    async close() {
      closed = true;
      current.abort();
      await running;
    },
  };
}

/** @returns undefined if it was ended */
async function attempt(
  { load }: ReloadOptions,
  version: number,
  signal: AbortSignal,
): Promise<Awaited<ReturnType<ReloadOptions['load']>> | undefined> {
  try {
    return await load(version, signal);
  } catch (error) {
    if (signal.aborted) return undefined;
    const finding = { file: 'rules', line: 1, col: 1, level: 'error', code: 'load-failed' } as const;
    return { findings: [{ ...finding, message: 'loading the rules failed' }], fault: error };
  }
}
