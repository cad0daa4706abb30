import type { Finding } from '../document/finding.js';
import type { RuleTable } from '../model/rule.js';
import { type AnalysisOptions, analyseRules } from './analyse.js';
import { LoadBudget } from './budget.js';
import { readUnchanged } from './files.js';
import { atOnce } from './slices.js';
import { growTable, summary } from './table/table.js';

/** Called with the progress of long work: the kind of work, and how many of how many items are done. */
export type Progress = (what: string, done: number, of: number) => void;

/** The limits for loading a whole rule set. */
export interface LoadLimits {
  /** Milliseconds. */
  readonly timeout: number;
  /** The most bytes of all rule files together. */
  readonly maxBytes: number;
}

/** Options for loading rules. */
export interface LoadOptions extends AnalysisOptions {
  /** The version of the new table. */
  readonly version: number;
  readonly limits: LoadLimits;
}

/** A rule set, or all findings about why there is none. */
export interface LoadedRules {
  /** Absent if a finding is an error. */
  readonly table?: RuleTable;
  /** Sorted by position. */
  readonly findings: readonly Finding[];
  /** The digest of file names and contents, from `readRuleFiles`. */
  readonly digest: string;
}

/**
 * Reads all APIRules from files and folders and compiles them into one table. If there is one error anywhere,
 * there is no table. It finds all errors in one run. It blocks the calling thread; a gateway uses
 * `loadOffThread`, which has the same result.
 *
 * @param paths files, and folders of `*.yaml`, `*.yml` and `*.json`
 * @param progress called for every file read, every rule compiled, and every rule compared with the others
 */
export function loadRules(
  paths: readonly string[],
  options: LoadOptions,
  progress: Progress = () => {},
): LoadedRules {
  const { timeout, maxBytes } = options.limits;
  const budget = new LoadBudget({ timeout, begun: ({ what, done, of }) => progress(what, done, of) });
  const { files, findings: unread, digest } = readUnchanged(paths, maxBytes);
  const { accepted, findings } = analyseRules(paths, files, unread, options, budget);
  if (accepted === undefined) return { findings, digest };
  const { rules, index, analysis, resources } = accepted;
  const parts = { version: options.version, resources };
  const table = atOnce(growTable(rules, index, analysis, summary(analysis), parts));
  return { table, findings, digest };
}
