import type { Finding } from '../document/finding.js';
import type { RuleTable } from '../model/rule.js';
import { fingerprint } from './watch.js';

/** How the last attempt to load the rules went, for `/health/ready`, metrics and the log. */
export interface ReloadState {
  readonly ok: boolean;
  /** Seconds since 1970. */
  readonly at: number;
  /** The version in force. */
  readonly version: number;
  /** What was wrong; the set in force is then the one from before. */
  readonly findings: readonly Finding[];
}

/** What a reloader works with. */
export interface ReloadOptions {
  readonly paths: readonly string[];
  /** Loads and proves a whole set; `table` is missing where anything is wrong. */
  readonly load: (version: number) => { readonly table?: RuleTable; readonly findings: readonly Finding[] };
  /** Puts a set in force. */
  readonly use: (table: RuleTable) => void;
  /** Told after each attempt. */
  readonly done: (state: ReloadState) => void;
  /** Seconds since 1970. */
  readonly now: () => number;
}

/** Loads rules again on request. */
export interface Reloader {
  /** Builds a whole new set and puts it in force, or keeps the old one: never something in between. */
  reload(): ReloadState;
  readonly state: ReloadState;
}

/** Files that change while they are read are read again, so often at most. */
const MAX_TRIES = 5;

/**
 * Builds a reloader.
 *
 * @param first the set that is in force already
 */
export function createReloader(first: RuleTable, options: ReloadOptions): Reloader {
  let version = first.version;
  let state: ReloadState = { ok: true, at: options.now(), version, findings: [] };

  return {
    reload() {
      const { table, findings } = loadWhole(options, version + 1);
      if (table !== undefined) {
        version = table.version;
        options.use(table);
      }
      state = { ok: table !== undefined, at: options.now(), version, findings };
      options.done(state);
      return state;
    },
    get state() {
      return state;
    },
  };
}

/** Loads a set that did not change while it was read: a swap in the middle would mix two generations of files. */
function loadWhole({ paths, load }: ReloadOptions, version: number): ReturnType<ReloadOptions['load']> {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const before = fingerprint(paths);
    const loaded = load(version);
    if (fingerprint(paths) === before) return loaded;
  }
  const [file = 'rules'] = paths;
  const message = 'the rule files keep changing while they are read';
  return { findings: [{ file, line: 1, col: 1, level: 'error', code: 'unstable-files', message }] };
}
