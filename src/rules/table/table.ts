import { reservedHeaders } from '../../auth/mutators/chain.js';
import { byPosition, type Finding, isError } from '../../document/finding.js';
import type { OverlapSummary, ResourceIndex, Rule, RuleTable } from '../../model/rule.js';
import { kymaDifferences } from '../apirule/kyma-differences.js';
import { type AnalysisBudget, UNLIMITED } from '../budget.js';
import { canonicalForm, isNeverCanonical } from '../pattern/canonical.js';
import { matchesNothing } from '../pattern/relation.js';
import { atOnce } from '../slices.js';
import { HostIndex } from './hosts.js';
import { Matcher } from './matcher.js';
import {
  analyseOverlaps,
  type Comparing,
  type OverlapAnalysis,
  type OverlapMode,
  positionOf,
} from './overlaps.js';

/** The table, if there are no errors, and all findings, sorted by position. */
export interface Built {
  readonly table?: RuleTable;
  readonly findings: Finding[];
}

/** What was proved about a set of rules. A table can be built from it. */
export interface Proved {
  readonly index: HostIndex;
  readonly analysis: OverlapAnalysis;
  /** Sorted by position. */
  readonly findings: Finding[];
}

/** Options for proving a set. */
export interface ProveOptions {
  /** The value of the setting `matching.overlap`. */
  readonly overlap: OverlapMode;
  readonly budget?: AnalysisBudget;
  readonly comparing?: Comparing | undefined;
}

/** The parts of a table other than its rules. */
export interface TableParts {
  readonly version: number;
  readonly resources?: ResourceIndex | undefined;
}

/**
 * Proves a set of rules and builds the table that serves it.
 *
 * @param rules in any order, which affects neither the findings nor any answer
 */
export function buildTable(rules: readonly Rule[], options: ProveOptions & TableParts): Built {
  const { index, analysis, findings } = proveRules(rules, options);
  if (findings.some(isError)) return { findings };
  return { table: atOnce(growTable(rules, index, analysis, summary(analysis), options)), findings };
}

/** Proves a set of rules. */
export function proveRules(
  rules: readonly Rule[],
  { overlap, budget = UNLIMITED, comparing }: ProveOptions,
): Proved {
  const index = new HostIndex();
  for (const rule of rules) index.add(rule);
  const analysis = analyseOverlaps(index, overlap, budget, comparing);
  const own = rules.filter(({ document }) => document === undefined);
  const findings = [...analysis.findings, ...kymaDifferences(own, budget), ...deadRules(rules, budget)].sort(
    inReadingOrder,
  );
  return { index, analysis, findings };
}

/**
 * Builds the table of a proved set, in steps of a few microseconds. It proves nothing.
 *
 * @param index the index of these rules
 * @param analysis has no errors
 */
export function* growTable(
  rules: readonly Rule[],
  index: HostIndex,
  analysis: Pick<OverlapAnalysis, 'depths' | 'rivals'>,
  overlaps: OverlapSummary,
  { version, resources }: TableParts,
): Generator<void, RuleTable> {
  const matcher = yield* Matcher.grow(index, analysis);
  const reserved = reservedHeaders(rules.map(({ mutators }) => mutators));
  return {
    version,
    rules,
    ...(reserved === undefined ? {} : { reservedHeaders: reserved }),
    ...(resources === undefined ? {} : { resources }),
    overlaps,
    find: (host, method, path) => matcher.find(host, method, path),
  };
}

/** A readable summary of what was proved. */
export function summary({ depths, rivals, containment }: OverlapAnalysis): OverlapSummary {
  const specific = new Set([...depths.values()].flatMap((inner) => [...inner.keys()].map(({ id }) => id)));
  const unproved = [...rivals].flatMap(([{ id }, others]) =>
    others.filter((other) => id < other.id).map((other): [string, string] => [id, other.id]),
  );
  const inside = containment.direct()?.map(([inner, outer]): [string, string] => [inner.id, outer.id]);
  return {
    specific: [...specific].sort(),
    unproved: unproved.sort(),
    ...(inside === undefined ? {} : { inside: inside.sort() }),
  };
}

/**
 * Compares findings by position, then by message. So the order of findings at one position does not depend on
 * the order of the rules.
 */
function inReadingOrder(a: Finding, b: Finding): number {
  return byPosition(a, b) || (`${a.code} ${a.message}` < `${b.code} ${b.message}` ? -1 : 1);
}

/**
 * Finds rules that no request can reach. What they were meant to protect is then protected by another rule,
 * or open.
 */
function deadRules(rules: readonly Rule[], budget: AnalysisBudget): Finding[] {
  const findings: Finding[] = [];
  for (const rule of rules) {
    const { path, pattern } = rule;
    const why = matchesNothing(pattern, budget)
      ? 'a canonical path begins with /, is printable ASCII and has no query'
      : isNeverCanonical(pattern, budget)
        ? 'a canonical path has no dot segments, no empty segments, and escapes only where they are needed (docs/paths.md)'
        : undefined;
    if (why === undefined) continue;
    const bare = /^[A-Za-z0-9_.]/.test(path) ? `/${path}` : undefined;
    const form = bare ?? canonicalForm(pattern);
    const hint = form === path ? undefined : form;
    findings.push({
      ...positionOf(rule),
      level: 'warning',
      code: 'pattern-matches-nothing',
      message: `no canonical path matches ${path}: ${why}${hint === undefined ? '' : `; did you mean ${hint}?`}`,
    });
  }
  return findings;
}
