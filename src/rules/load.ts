import type { Finding } from '../document/finding.js';
import type { RuleTable } from '../model/rule.js';
import { type AnalysisOptions, analyseRules } from './analyse.js';
import { LoadBudget } from './budget.js';
import { readUnchanged } from './files.js';
import { atOnce } from './slices.js';
import { growTable, summary } from './table/table.js';

/** Told how far something that may take long has come: what is done, how many of how many. */
export type Progress = (what: string, done: number, of: number) => void;

/** What loading a whole set may use. */
export interface LoadLimits {
  /** Milliseconds. */
  readonly timeout: number;
  /** The most bytes that all rule files together may have. */
  readonly maxBytes: number;
}

/** How rules are loaded. */
export interface LoadOptions extends AnalysisOptions {
  /** The table's version. */
  readonly version: number;
  readonly limits: LoadLimits;
}

/** A rule set, or everything that is wrong with it. */
export interface LoadedRules {
  /** Absent if a finding is an error. */
  readonly table?: RuleTable;
  /** In order of their positions. */
  readonly findings: readonly Finding[];
  /** Of the files' names and contents, as `readRuleFiles` makes it. */
  readonly digest: string;
}

/**
 * Reads all APIRules from files and folders and compiles them into one table. All or nothing: one error anywhere, and
 * there is no table. It finds everything that is wrong in one run. The calling thread does nothing else meanwhile:
 * a gateway uses `loadOffThread`, with the same result.
 *
 * @param paths files, and folders of `*.yaml`, `*.yml` and `*.json`
 * @param progress told of every file read, every rule compiled, and every rule compared with the others
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
