import { reservedHeaders } from '../../auth/mutators/chain.js';
import { byPosition, type Finding } from '../../document/finding.js';
import type { OverlapSummary, ResourceIndex, Rule, RuleTable } from '../../model/rule.js';
import { kymaDifferences } from '../apirule/kyma-differences.js';
import { canonicalForm, isNeverCanonical } from '../pattern/canonical.js';
import { matchesNothing } from '../pattern/overlap.js';
import {
  analyseOverlaps,
  type Compared,
  type OverlapAnalysis,
  type OverlapMode,
  positionOf,
} from './disjointness.js';
import { HostIndex } from './hosts.js';
import { Matcher } from './matcher.js';

/** A table, where there are no errors; and all that was found on the way, by position. */
export interface Built {
  readonly table?: RuleTable;
  readonly findings: Finding[];
}

/**
 * Proves a set of rules and makes the table that serves it.
 *
 * @param rules in any order: it changes neither the findings nor any answer
 * @param options `overlap` as the setting `matching.overlap` has it; `version` is the new table's
 */
export function buildTable(
  rules: readonly Rule[],
  options: {
    readonly overlap: OverlapMode;
    readonly version: number;
    readonly resources?: ResourceIndex | undefined;
    /** Told of every rule that was compared with the others of its host and method. */
    readonly compared?: Compared | undefined;
  },
): Built {
  const index = new HostIndex(rules);
  const analysis = analyseOverlaps(index, options.overlap, options.compared);
  const findings = [
    ...analysis.findings,
    ...kymaDifferences(rules.filter(({ document }) => document === undefined)),
    ...deadRules(rules),
  ].sort(inReadingOrder);
  if (findings.some(({ level }) => level === 'error')) return { findings };
  const matcher = new Matcher(index, analysis);
  const stated = reservedHeaders(rules.map(({ mutators }) => mutators));
  const table: RuleTable = {
    version: options.version,
    rules,
    ...(stated === undefined ? {} : { reservedHeaders: stated }),
    ...(options.resources === undefined ? {} : { resources: options.resources }),
    overlaps: summary(analysis),
    find: (host, method, path) => matcher.find(host, method, path),
  };
  return { table, findings };
}

function summary({ depths, rivals }: OverlapAnalysis): OverlapSummary {
  const specific = new Set([...depths.values()].flatMap((inner) => [...inner.keys()].map(({ id }) => id)));
  const unproved = [...rivals].flatMap(([{ id }, others]) =>
    others.filter((other) => id < other.id).map((other): [string, string] => [id, other.id]),
  );
  return { specific: [...specific].sort(), unproved: unproved.sort() };
}

/** By position, and then by what they say: findings in one place must not show in which order the rules came. */
function inReadingOrder(a: Finding, b: Finding): number {
  return byPosition(a, b) || (`${a.code} ${a.message}` < `${b.code} ${b.message}` ? -1 : 1);
}

/** Rules that no request can reach: what they were to protect is protected by another rule, or open. */
function deadRules(rules: readonly Rule[]): Finding[] {
  const findings: Finding[] = [];
  for (const rule of rules) {
    const { path, pattern } = rule;
    const why = matchesNothing(pattern)
      ? 'it begins with /, is printable ASCII and holds no query'
      : isNeverCanonical(pattern)
        ? 'it holds no dot segments, no empty ones, and escapes only where they are needed (docs/paths.md)'
        : undefined;
    if (why === undefined) continue;
    const form = canonicalForm(pattern);
    findings.push({
      ...positionOf(rule),
      level: 'warning',
      code: 'pattern-matches-nothing',
      message: `no canonical path matches ${path}: ${why}${form === undefined ? '' : `; did you mean ${form}?`}`,
    });
  }
  return findings;
}
