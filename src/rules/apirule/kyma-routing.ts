import { type Finding, MAX_FINDINGS } from '../../document/finding.js';
import type { Rule } from '../../model/rule.js';
import { type AnalysisBudget, UNLIMITED } from '../budget.js';
import { relate } from '../pattern/relation.js';
import { PathNeighbours } from '../table/hosts.js';
import { positionOf } from '../table/overlaps.js';

/** The rules of one APIRule in their order, as Kyma made routes of them. */
class Routes {
  readonly #rules: readonly Rule[];
  readonly #budget: AnalysisBudget;
  readonly #numbers: ReadonlyMap<Rule, number>;
  /** By path: the first rule that has it. */
  readonly #firsts = new Map<string, Rule>();

  constructor(rules: readonly Rule[], budget: AnalysisBudget) {
    this.#rules = rules;
    this.#budget = budget;
    this.#numbers = new Map(rules.map((rule, number) => [rule, number]));
    for (const rule of rules) if (!this.#firsts.has(rule.path)) this.#firsts.set(rule.path, rule);
  }

  /** The earlier rule with the same path, because of which Kyma dropped this one. */
  twinOf(rule: Rule): Rule | undefined {
    const first = this.#firsts.get(rule.path);
    return first === rule ? undefined : first;
  }

  comesBefore(rule: Rule, other: Rule): boolean {
    return (this.#numbers.get(rule) as number) < (this.#numbers.get(other) as number);
  }

  isInside(rule: Rule, other: Rule): boolean {
    const { relation } = relate(rule.pattern, other.pattern, this.#budget);
    return relation === 'a-in-b' || relation === 'equal';
  }

  /** Whether there is an earlier open route for all that a rule allows: Kyma let it in as well. */
  isOpenBefore(guarded: Rule, rule: Rule, earlier: readonly Rule[]): boolean {
    return earlier.some(
      (opener) =>
        isOpen(opener) &&
        this.comesBefore(opener, guarded) &&
        (!isRestricted(opener) || rule.methods.every((method) => opener.methods.includes(method))) &&
        this.isInside(rule, opener),
    );
  }

  /**
   * Each rule with the earlier ones that may share a path with it, in order.
   *
   * @param withDropped whether those count that Kyma dropped
   */
  *withEarlier(withDropped: boolean): Generator<[rule: Rule, earlier: () => Rule[]]> {
    const neighbours = new PathNeighbours();
    for (const rule of this.#rules) {
      yield [rule, () => neighbours.of(rule).sort((a, b) => (this.comesBefore(a, b) ? -1 : 1))];
      if (withDropped || this.twinOf(rule) === undefined) neighbours.add(rule);
    }
  }
}

/**
 * Warns where a rule of one APIRule answers here that Kyma never asked.
 *
 * Kyma made one Istio route of each path, and dropped a rule whose path an earlier rule had already. The first route
 * whose path matched took the request: for `allow` and `no_auth` to the workload, for all other handlers to Oathkeeper,
 * which answered 404 if none of its rules had the method. A later `allow` or `no_auth` rule on such a path had no say.
 *
 * @param rules of one APIRule of v1alpha1 or v1beta1, in its order
 * @param budget for the comparison of paths
 */
export function kymaHidden(rules: readonly Rule[], budget: AnalysisBudget = UNLIMITED): Finding[] {
  const routes = new Routes(rules, budget);
  const findings: Finding[] = [];
  for (const [rule, earlier] of routes.withEarlier(false)) {
    if (findings.length >= MAX_FINDINGS) break;
    const twin = routes.twinOf(rule);
    if (twin !== undefined && isRestricted(twin)) findings.push(...restrictedTwin(rule, twin));
    else if (isOpen(rule)) {
      const before = earlier();
      for (const other of before) {
        if (isOpen(other) || routes.isOpenBefore(other, rule, before)) continue;
        findings.push(...guardedFirst(rule, other, rules, budget));
      }
    }
  }
  return findings;
}

/**
 * Finds the rules that Kyma never asked, because an earlier one of their APIRule had all of their paths.
 *
 * @param rules of one APIRule of v1alpha1 or v1beta1, in its order
 * @param budget for the comparison of paths
 */
export function whollyHidden(rules: readonly Rule[], budget: AnalysisBudget): Set<Rule> {
  const routes = new Routes(rules, budget);
  const hidden = new Set<Rule>();
  for (const [rule, earlier] of routes.withEarlier(true)) {
    if (!isOpen(rule)) continue;
    const isHidden =
      routes.twinOf(rule) !== undefined ||
      earlier().some((other) => !isRestricted(other) && routes.isInside(rule, other));
    if (isHidden) hidden.add(rule);
  }
  return hidden;
}

function guardedFirst(rule: Rule, first: Rule, rules: readonly Rule[], budget: AnalysisBudget): Finding[] {
  const { relation, witness } = relate(rule.pattern, first.pattern, budget);
  if (relation === 'disjoint') return [];
  const path = witness ?? rule.path;
  const asked = rule.methods.filter(
    (method) =>
      !rules.some((other) => isGuarded(other) && other.methods.includes(method) && other.pattern.test(path)),
  );
  const did =
    asked.length > 0
      ? `and answered ${asked.join(', ')} ${path} with 404`
      : `and had ${rule.methods.join(', ')} ${path} decided by a rule that asks for a credential`;
  return [
    shadowed(
      rule,
      `${rule.methods.join(', ')} ${rule.path}: Kyma let the earlier rule ${first.path} at ${first.source} take this ` +
        `path, ${did}; here this rule lets everyone in. Remove it, or move it before that rule if it must be open`,
    ),
  ];
}

function restrictedTwin(rule: Rule, twin: Rule): Finding[] {
  const unknown = rule.methods.filter((method) => !twin.methods.includes(method));
  // With a method in common they are one rule twice, which is an error.
  if (unknown.length < rule.methods.length) return [];
  return [
    shadowed(
      rule,
      `${unknown.join(', ')} ${rule.path}: Kyma dropped this rule, because the earlier rule at ${twin.source} has the ` +
        'same path, and answered 404; here this rule answers. Remove it if nobody is to use it',
    ),
  ];
}

function shadowed(rule: Rule, message: string): Finding {
  return { ...positionOf(rule), level: 'warning', code: 'kyma-shadowed-rule', message };
}

/** Handlers whose route Kyma led to the workload, past Oathkeeper. */
function isOpen({ strategies }: Rule): boolean {
  return strategies.every(({ handler }) => handler === 'allow' || handler === 'no_auth');
}

function isGuarded(rule: Rule): boolean {
  return !isOpen(rule);
}

/** Only the routes of `no_auth` were for the rule's methods alone. */
function isRestricted({ strategies }: Rule): boolean {
  return strategies.some(({ handler }) => handler === 'no_auth');
}
