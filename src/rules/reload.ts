import type { Finding } from '../document/finding.js';
import type { RuleTable } from '../model/rule.js';
import type { LoadedOffThread } from './off-thread.js';

/** The result of the last attempt to load the rules, for `/health/ready`, metrics and the log. */
export interface ReloadState {
  readonly ok: boolean;
  /** Seconds since 1970. */
  readonly at: number;
  /** The version of the table in use. */
  readonly version: number;
  /** The findings. If there are errors, the previous set stays in use. */
  readonly findings: readonly Finding[];
  /** The error, if loading failed because of a bug in scopegate. */
  readonly fault?: unknown;
}

/** Options of a reloader. */
export interface ReloadOptions {
  /**
   * Loads and proves a whole set.
   *
   * @param version the version of the new table
   * @param signal aborts the load; the promise is then rejected
   * @returns no `table` if there is an error
   */
  readonly load: (version: number, signal: AbortSignal) => Promise<Omit<LoadedOffThread, 'digest'>>;
  /** Puts a new set into use. */
  readonly use: (table: RuleTable) => void;
  /** Called after each attempt, except those that a newer attempt replaced. */
  readonly done: (state: ReloadState) => void;
  /** Returns the current time in seconds since 1970. */
  readonly now: () => number;
}

/** Reloads rules on request. */
export interface Reloader {
  /**
   * Builds a whole new set and puts it into use, or keeps the old one; it never mixes the two. If a load is
   * already in progress, its files may have changed since, so it is aborted and started again.
   *
   * @returns the result; undefined if the reloader was closed in the meantime
   */
  reload(): Promise<ReloadState | undefined>;
  readonly state: ReloadState;
  /** Aborts the load in progress. No set is put into use afterwards. */
  close(): Promise<void>;
}

/**
 * The most restarts in a row. Without a limit, files that change all the time would prevent every load from
 * finishing.
 */
const MAX_RESTARTS = 5;

/**
 * Creates a reloader.
 *
 * @param first the set that is already in use
 */
export function createReloader(first: RuleTable, options: ReloadOptions): Reloader {
  let version = first.version;
  let state: ReloadState = { ok: true, at: options.now(), version, findings: [] };
  let running: Promise<ReloadState | undefined> | undefined;
  let current = new AbortController();
  /** Whether a reload was requested after the load in progress began. */
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

/** @returns undefined if the load was aborted */
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
