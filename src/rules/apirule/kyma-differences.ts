import { type Finding, MAX_FINDINGS } from '../../document/finding.js';
import { METHODS } from '../../model/methods.js';
import type { Rule } from '../../model/rule.js';
import { type AnalysisBudget, UNLIMITED } from '../budget.js';
import { getOrInsert } from '../pattern/get-or-insert.js';
import { relate } from '../pattern/relation.js';
import { PathNeighbours, wildcardsAround } from '../table/hosts.js';
import { positionOf } from '../table/overlaps.js';
import { whollyHidden } from './kyma-routing.js';

/**
 * Warns if a rule set behaves differently here than in Kyma, because Kyma's routing was less strict.
 *
 * Kyma turns each rule into an Istio route by path. The route of a rule with the handler `allow` leads
 * directly to the workload, for every method, and the first route of a host that matches the path takes the
 * request. scopegate enforces methods for every handler, and the order of rules has no effect.
 *
 * @param budget the limits for comparing paths
 */
export function kymaDifferences(rules: readonly Rule[], budget: AnalysisBudget): Finding[] {
  const findings: Finding[] = [];
  const open = rules.filter((rule) => rule.strategies.some(({ handler }) => handler === 'allow'));
  if (open.length === 0) return findings;
  const byHost = new ByHost(rules);
  const byApiRule = new Map<string, Rule[]>();
  for (const rule of [...rules].sort((a, b) => splitId(a.id)[1] - splitId(b.id)[1])) {
    getOrInsert(byApiRule, splitId(rule.id)[0], () => [] as Rule[]).push(rule);
  }
  const hidden = new Set([...byApiRule.values()].flatMap((own) => [...whollyHidden(own, budget)]));
  for (const rule of open) {
    if (hidden.has(rule)) continue;
    const exposed = METHODS.filter((method) => !rule.methods.includes(method));
    if (exposed.length === 0) continue;
    findings.push({
      ...positionOf(rule),
      level: 'warning',
      code: 'kyma-allow-methods',
      message: `${rule.path}: Kyma's allow exposed every method; here ${exposed.join(', ')} need a rule of their own`,
    });
    if (findings.length >= MAX_FINDINGS) continue;
    for (const other of shadowed(rule, byHost, budget)) {
      findings.push({
        ...positionOf(other),
        level: 'warning',
        code: 'kyma-shadowed-rule',
        message:
          `${other.methods.join(', ')} ${other.path}: Kyma let the allow rule ${rule.path} at ${rule.source} ` +
          'answer for every method, so this rule had no effect there; in scopegate it decides',
      });
    }
  }
  return findings;
}

/**
 * The protected rules that an `allow` rule shadowed in Kyma: they share a host and a path with it, come after
 * it, and have methods that it lacks.
 */
function shadowed(rule: Rule, byHost: ByHost, budget: AnalysisBudget): Rule[] {
  return [...byHost.meeting(rule)].filter(
    (other) =>
      other !== rule &&
      !other.strategies.some(({ handler }) => handler === 'allow') &&
      other.methods.some((method) => !rule.methods.includes(method)) &&
      comesFirst(rule, other) &&
      relate(rule.pattern, other.pattern, budget).relation !== 'disjoint',
  );
}

/**
 * Whether a rule may come first in Kyma. In one APIRule the order is known. For two APIRules it is not known
 * which route Istio tries first.
 */
function comesFirst(rule: Rule, other: Rule): boolean {
  const [name, index] = splitId(rule.id);
  const [otherName, otherIndex] = splitId(other.id);
  return name !== otherName || index < otherIndex;
}

function splitId(id: string): [name: string, index: number] {
  const at = id.lastIndexOf('#');
  return [id.slice(0, at), Number(id.slice(at + 1))];
}

/** An index of rules by host, to find the rules that share a host. */
class ByHost {
  readonly #named = new Map<string, Set<Rule>>();
  /** By wildcard: the rules whose hosts are below it. */
  readonly #under = new Map<string, Set<Rule>>();

  constructor(rules: readonly Rule[]) {
    for (const rule of rules) {
      for (const host of rule.hosts) {
        getOrInsert(this.#named, host, () => new Set<Rule>()).add(rule);
        for (const wildcard of wildcardsAround(host))
          getOrInsert(this.#under, wildcard, () => new Set<Rule>()).add(rule);
      }
    }
  }

  /** The rules that share a host with this rule, and the rule itself. */
  meeting({ hosts }: Rule): Set<Rule> {
    const found = new Set<Rule>();
    for (const host of hosts) {
      for (const name of [host, ...wildcardsAround(host)]) addAll(found, this.#named.get(name));
      addAll(found, this.#under.get(host));
    }
    return found;
  }
}

function addAll(target: Set<Rule>, source: Iterable<Rule> | undefined): void {
  for (const rule of source ?? []) target.add(rule);
}

/**
 * Warns if an APIRule v2 allows more here than in Kyma. If a later rule shares a method with an earlier one,
 * Kyma excludes the earlier rule's path from the later rule, even for methods that the earlier rule lacks. So
 * Kyma denied requests with these methods. scopegate matches a rule by its methods too, so the later rule
 * answers them.
 *
 * @param rules the rules of one APIRule, in its order
 * @param budget the limits for comparing their paths
 */
export function kymaExclusions(rules: readonly Rule[], budget: AnalysisBudget = UNLIMITED): Finding[] {
  const findings: Finding[] = [];
  const numbers = new Map(rules.map((rule, number) => [rule, number]));
  const numberOf = (rule: Rule): number => numbers.get(rule) as number;
  const neighbours = new PathNeighbours();
  for (const later of rules) {
    if (findings.length >= MAX_FINDINGS) break;
    for (const earlier of neighbours.of(later).sort((a, b) => numberOf(a) - numberOf(b))) {
      if (!later.methods.some((method) => earlier.methods.includes(method))) continue;
      const { relation, witness } = relate(later.pattern, earlier.pattern, budget);
      if (relation === 'a-in-b') {
        findings.push({
          ...positionOf(later),
          level: 'warning',
          code: 'kyma-shadowed-rule',
          message:
            `${later.path}: Kyma let the earlier rule ${earlier.path} at ${earlier.source} answer ${witness ?? later.path}; ` +
            'in scopegate this rule answers, because its paths lie inside those of that rule. If that is right, move it before that rule',
        });
      }
      if (relation === 'disjoint') continue;
      const opened = later.methods.filter(
        (method) =>
          !earlier.methods.includes(method) &&
          !rules.some((other) => other !== later && decidesInstead(other, earlier, method, budget)),
      );
      if (opened.length === 0) continue;
      findings.push({
        ...positionOf(later),
        level: 'warning',
        code: 'kyma-excluded-path',
        message:
          `${later.path}: Kyma denied ${opened.join(', ')} ${witness ?? earlier.path}, because the earlier rule ` +
          `${earlier.path} matches the path; in scopegate this rule decides. If that is wrong, write separate rules for these methods`,
      });
    }
    neighbours.add(later);
  }
  return findings;
}

/**
 * Whether a rule has a method for all paths of an earlier rule, which did not exclude it. Then Kyma did not deny
 * these requests, but let this rule decide.
 */
function decidesInstead(other: Rule, earlier: Rule, method: string, budget: AnalysisBudget): boolean {
  if (!other.methods.includes(method) || other.methods.some((each) => earlier.methods.includes(each)))
    return false;
  const { relation } = relate(earlier.pattern, other.pattern, budget);
  return relation === 'a-in-b' || relation === 'equal';
}
