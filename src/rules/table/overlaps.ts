import { byPosition, type Finding, type Position } from '../../document/finding.js';
import type { Rule } from '../../model/rule.js';
import { type AnalysisBudget, UNLIMITED } from '../budget.js';
import { getOrInsert } from '../pattern/get-or-insert.js';
import { areApart, isPlainlyInside, type Related, relate } from '../pattern/relation.js';
import { shapeOf } from '../pattern/syntax.js';
import { Containment } from './containment.js';
import { type HostEntry, type HostIndex, PathNeighbours, wildcardsAround } from './hosts.js';

/** How overlaps are treated: refused, or decided in favour of the rule that lies inside the other. */
export type OverlapMode = 'error' | 'specific';

/** Called with each rule before it is compared with others; `done` and `of` say how far the comparison is. */
export type Comparing = (rule: Rule, done: number, of: number) => void;

/** What was proved about a set of rules. */
export interface OverlapAnalysis {
  readonly findings: Finding[];
  /**
   * By site (one host pattern and method) and rule: the number of rules of the same method that contain all
   * requests of this one. An inner rule has a higher number.
   */
  readonly depths: ReadonlyMap<HostEntry, ReadonlyMap<Rule, number>>;
  /** By rule: the rules that it may overlap with, if the author accepted that this is not proved. */
  readonly rivals: ReadonlyMap<Rule, readonly Rule[]>;
  /** Which rules lie inside which others. */
  readonly containment: Containment;
}

/**
 * The most findings. A reader would not use more, and a set in which every rule is wrong would give one for
 * each pair.
 */
const MAX_FINDINGS = 1_000;

/**
 * The most pairs of patterns whose relation is remembered, for rules with several hosts or methods. There is
 * a limit because the hash table grows by doubling.
 */
const MAX_REMEMBERED = 100_000;

/**
 * Compares every two rules that share a host and a method.
 *
 * The extent of a rule is its hosts times its paths, for each method. With `error`, two extents must not
 * overlap. With `specific`, they may overlap if one lies inside the other, in hosts and in paths: the inner
 * rule then answers. An exact host lies inside `*.suffix`; equal paths on a narrower host also lie inside.
 * All other overlaps are refused: if one rule has the narrower host and the other the narrower path, neither
 * is more specific.
 *
 * @param budget the limits for comparing their paths
 */
export function analyseOverlaps(
  index: HostIndex,
  mode: OverlapMode,
  budget: AnalysisBudget = UNLIMITED,
  comparing: Comparing = () => {},
): OverlapAnalysis {
  const analyser = new OverlapAnalyser(mode, budget);
  let done = 0;
  const all = index.size;
  for (const site of index) {
    const neighbours = analyser.within(site, (rule) => comparing(rule, ++done, all));
    if (neighbours === undefined) break;
    for (const outer of index.around(site)) {
      if (!analyser.between(neighbours, site, outer, (rule) => comparing(rule, done, all))) break;
    }
  }
  const { findings, depths, rivals, containment } = analyser;
  return { findings, depths, rivals, containment };
}

class OverlapAnalyser {
  readonly #mode: OverlapMode;
  readonly #budget: AnalysisBudget;
  readonly findings: Finding[] = [];
  readonly depths = new Map<HostEntry, Map<Rule, number>>();
  readonly rivals = new Map<Rule, Rule[]>();
  readonly containment = new Containment();
  /** A number for each pattern, as a key to remember what was proved about a pair. */
  readonly #numbers = new Map<RegExp, number>();
  readonly #related = new Map<number, Related>();
  readonly #reported = new Map<Rule, Set<Rule>>();

  constructor(mode: OverlapMode, budget: AnalysisBudget) {
    this.#mode = mode;
    this.#budget = budget;
  }

  get #full(): boolean {
    return this.findings.length >= MAX_FINDINGS;
  }

  /**
   * Compares the rules of one site with each other.
   *
   * @param comparing called with each rule
   * @returns the site's rules, to compare them with those of other sites; undefined if there are too many
   *   findings
   */
  within(site: HostEntry, comparing: (rule: Rule) => void): PathNeighbours | undefined {
    const neighbours = new PathNeighbours();
    for (const rule of site.rules) {
      comparing(rule);
      for (const other of neighbours.of(rule)) this.#compare(rule, site, other, site);
      if (this.#full) return undefined;
      neighbours.add(rule);
    }
    return neighbours;
  }

  /**
   * Compares the rules of two sites.
   *
   * @param comparing called with each rule
   * @returns false if there are too many findings to continue
   */
  between(
    neighbours: PathNeighbours,
    inner: HostEntry,
    outer: HostEntry,
    comparing: (rule: Rule) => void,
  ): boolean {
    for (const other of outer.rules) {
      comparing(other);
      for (const rule of neighbours.of(other)) this.#compare(rule, inner, other, outer);
      if (this.#full) return false;
    }
    return true;
  }

  /** @param siteOfA the same site as `b`'s, or one whose hosts all belong to `b`'s too */
  #compare(a: Rule, siteOfA: HostEntry, b: Rule, siteOfB: HostEntry): void {
    if (a === b) return;
    const sameHost = siteOfA === siteOfB;
    // Compare the rules and not the sites: two rules that share several hosts are always reported as
    // duplicates, whatever site they meet on first.
    if (a.path === b.path && a.pattern.source === b.pattern.source && shareHost(a, b)) {
      this.#report(
        a,
        b,
        'duplicate-rule',
        (first) => `the same host, method and path as the rule at ${first.source}`,
      );
      return;
    }
    // This result is not remembered. It is cheaper than a look-up, and decides nearly all pairs.
    if (areApart(shapeOf(a.pattern), shapeOf(b.pattern))) return;
    // If one rule is a catch-all, no automaton is needed.
    if (this.#mode === 'specific' && isPlainlyInside(a.pattern, b.pattern)) {
      this.#deepen(siteOfA, a, b);
      return;
    }
    if (this.#mode === 'specific' && sameHost && isPlainlyInside(b.pattern, a.pattern)) {
      this.#deepen(siteOfB, b, a);
      return;
    }
    const related = this.#relate(a.pattern, b.pattern);
    if (related.relation === 'disjoint') return;
    if (related.relation === 'undecided') this.#undecided(a, b, related.witness);
    else if (this.#mode === 'error') {
      this.#overlap(a, b, 'overlap', related.witness, innerOf(a, b, related.relation));
    } else if (related.relation === 'a-in-b' || (related.relation === 'equal' && !sameHost))
      this.#deepen(siteOfA, a, b);
    else if (related.relation === 'b-in-a' && sameHost) this.#deepen(siteOfB, b, a);
    else if (related.relation === 'equal') this.#overlap(a, b, 'overlap-equal', related.witness);
    else this.#overlap(a, b, 'overlap-partial', related.witness);
  }

  #relate(a: RegExp, b: RegExp): Related {
    const key = this.#number(a) * 2 ** 26 + this.#number(b);
    const known = this.#related.get(key);
    if (known !== undefined) return known;
    const related = relate(a, b, this.#budget);
    if (this.#related.size < MAX_REMEMBERED) this.#related.set(key, related);
    return related;
  }

  #number(pattern: RegExp): number {
    return getOrInsert(this.#numbers, pattern, () => this.#numbers.size);
  }

  #deepen(site: HostEntry, rule: Rule, outer: Rule): void {
    this.containment.add(rule, outer);
    const depths = getOrInsert(this.depths, site, () => new Map<Rule, number>());
    depths.set(rule, (depths.get(rule) ?? 0) + 1);
  }

  #undecided(a: Rule, b: Rule, witness: string | undefined): void {
    if (witness !== undefined) {
      if (this.#mode === 'error') this.#overlap(a, b, 'overlap', witness);
      else {
        this.#report(a, b, 'overlap-undecided', (first, second) => {
          const what = `${describe(second)} overlaps with ${describe(first)} of ${first.source}`;
          return `${what}: both match ${witness}, and scopegate cannot prove that one lies inside the other`;
        });
      }
      return;
    }
    const culprit = [a, b].find((rule) => shapeOf(rule.pattern).undecidable !== undefined);
    this.#report(
      a,
      b,
      'overlap-undecided',
      (first, second) => {
        const what = `scopegate cannot prove whether ${describe(second)} overlaps with ${describe(first)} of ${first.source}`;
        if (culprit === undefined) return `${what}: their automata are too large`;
        const why = `${culprit.path} has a ${shapeOf(culprit.pattern).undecidable}`;
        return `${what}: ${why}; scopegate refuses a request that both match`;
      },
      culprit === undefined ? 'error' : 'warning',
    );
    if (culprit === undefined) return;
    this.#rival(a, b);
    this.#rival(b, a);
  }

  #rival(rule: Rule, other: Rule): void {
    const rivals = this.rivals.get(rule) ?? [];
    if (!rivals.includes(other)) this.rivals.set(rule, [...rivals, other]);
  }

  #overlap(a: Rule, b: Rule, code: string, witness: string | undefined, inner?: Rule): void {
    this.#report(a, b, code, (first, second) => {
      const hosts = sharedHosts(a, b);
      const where = `${sharedMethods(a, b).join(', ')} ${hosts[0]}${hosts.length > 1 ? ', …' : ''}`;
      const both = `both match ${witness} (${where})`;
      const what = `${describe(second)} overlaps with ${describe(first)} of ${first.source}: ${both}`;
      const remedy = 'change their paths or methods so that no request matches both';
      if (code === 'overlap-equal') return `${what}, and they match the same paths; ${remedy}`;
      if (code === 'overlap-partial') return `${what}, and neither lies inside the other; ${remedy}`;
      if (inner === undefined) return `${what}; ${remedy}`;
      const outer = inner === a ? b : a;
      return (
        `${what}; ${inner.path} lies inside ${outer.path}: with matching.overlap: specific, ${inner.path} ` +
        'would decide there'
      );
    });
  }

  /**
   * Reports a pair once, at the rule that comes later in the files. The order in which the rules are passed
   * does not matter.
   */
  #report(
    a: Rule,
    b: Rule,
    code: string,
    message: (first: Rule, second: Rule) => string,
    level: Finding['level'] = 'error',
  ): void {
    const [first, second] = inOrder(a, b);
    const reported = getOrInsert(this.#reported, first, () => new Set<Rule>());
    if (reported.has(second) || this.#full) return;
    reported.add(second);
    const name = apiRuleOf(second);
    this.findings.push({
      ...positionOf(second),
      level,
      code,
      message: message(first, second),
      ...(name === apiRuleOf(first) ? { apiRule: name } : {}),
    });
  }
}

/**
 * The rule that would answer every request that both match, if `matching.overlap` were `specific`; undefined
 * if neither would.
 */
function innerOf(a: Rule, b: Rule, relation: Related['relation']): Rule | undefined {
  const [aIsNarrower, bIsNarrower] = [isNarrower(a, b), isNarrower(b, a)];
  if (relation === 'a-in-b') return aIsNarrower ? a : undefined;
  if (relation === 'b-in-a') return bIsNarrower ? b : undefined;
  if (relation !== 'equal' || aIsNarrower === bIsNarrower) return undefined;
  return aIsNarrower ? a : b;
}

/**
 * Whether a rule's hosts are equal to or narrower than those of another rule, for all hosts that both match.
 */
function isNarrower(a: Rule, b: Rule): boolean {
  return sharedHosts(a, b).every((host) => a.hosts.includes(host));
}

/** The APIRule that a rule belongs to: `namespace/name`. */
export function apiRuleOf({ id }: Rule): string {
  return id.slice(0, id.lastIndexOf('#'));
}

/** The position of a rule in the files. */
export function positionOf({ source }: Rule): Position {
  const [, file, line, col] = /^(.*):(\d+):(\d+)$/s.exec(source) ?? [undefined, source, '1', '1'];
  return { file: file as string, line: Number(line), col: Number(col) };
}

/** Sorts two rules by their positions in the files. */
export function inOrder(a: Rule, b: Rule): [first: Rule, second: Rule] {
  const order = byPosition(positionOf(a), positionOf(b)) || (a.id < b.id ? -1 : 1);
  return order < 0 ? [a, b] : [b, a];
}

/** Names a rule in a finding. */
export function describe({ id, path }: Rule): string {
  return `${path} (${id})`;
}

function sharedMethods(a: Rule, b: Rule): string[] {
  return a.methods.filter((method) => b.methods.includes(method)).sort();
}

function shareHost(a: Rule, b: Rule): boolean {
  return a.hosts.some((host) => b.hosts.includes(host));
}

/** The narrower host pattern of each two that share a host. */
function sharedHosts(a: Rule, b: Rule): string[] {
  const inside = (x: Rule, y: Rule) =>
    x.hosts.filter((host) => [host, ...wildcardsAround(host)].some((wider) => y.hosts.includes(wider)));
  return [...new Set([...inside(a, b), ...inside(b, a)])].sort();
}
