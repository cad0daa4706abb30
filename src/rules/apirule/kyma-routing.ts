import { type Finding, MAX_FINDINGS } from '../../document/finding.js';
import type { Rule } from '../../model/rule.js';
import { type AnalysisBudget, UNLIMITED } from '../budget.js';
import { relate } from '../pattern/relation.js';
import { PathNeighbours } from '../table/hosts.js';
import { positionOf } from '../table/overlaps.js';

/** The handlers that let a request without a credential in. */
const OPEN_HANDLERS: ReadonlySet<string> = new Set(['allow', 'no_auth', 'noop', 'anonymous']);

/** The rules of one APIRule in their order, and the routes that Kyma made from them. */
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

  /** The earlier rule with the same path, if there is one. Kyma then dropped this rule. */
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

  /**
   * Whether an earlier open route covers everything that a rule allows. Kyma then let these requests in as
   * well.
   */
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
   * Iterates over the rules in order, each with the earlier rules that may share a path with it.
   *
   * @param withDropped whether to include the rules that Kyma dropped among the earlier ones
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
 * Warns if a rule of one APIRule answers here although Kyma never used it.
 *
 * Kyma made one Istio route of each path, and dropped a rule if an earlier rule had the same path. The first
 * route whose path matched took the request. For `allow` and `no_auth` the route led to the workload, for all
 * other handlers to Oathkeeper, which answered 404 if none of its rules had the method. A later `allow` or
 * `no_auth` rule on such a path was therefore never used. Oathkeeper answered 500 if two of its rules matched.
 *
 * @param rules the rules of one APIRule of v1alpha1 or v1beta1, in its order
 * @param budget the limits for comparing paths
 */
export function kymaHidden(rules: readonly Rule[], budget: AnalysisBudget = UNLIMITED): Finding[] {
  const routes = new Routes(rules, budget);
  const findings: Finding[] = [];
  // Most APIRules have no such rule, and to compare all of their rules costs time.
  const opensWithOathkeeper = rules.some((rule) => needsNothing(rule) && !isOpen(rule));
  for (const [rule, earlier] of routes.withEarlier(false)) {
    if (findings.length >= MAX_FINDINGS) break;
    if (opensWithOathkeeper) findings.push(...bothMatched(rule, earlier(), routes));
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
 * Finds the rules that Kyma never used, because one earlier rule of their APIRule had all of their paths.
 *
 * @param rules the rules of one APIRule of v1alpha1 or v1beta1, in its order
 * @param budget the limits for comparing paths
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

/**
 * Finds the rules that let everyone in here, but in Kyma were refused with 500, because Oathkeeper had a stricter
 * rule that matched as well.
 */
function bothMatched(rule: Rule, earlier: readonly Rule[], routes: Routes): Finding[] {
  return earlier.flatMap((other) => {
    const [inner, outer] = needsNothing(rule) ? [rule, other] : [other, rule];
    if (isOpen(inner) || !needsNothing(inner) || isOpen(outer) || needsNothing(outer)) return [];
    const methods = inner.methods.filter((method) => outer.methods.includes(method));
    if (methods.length === 0 || inner.path === outer.path || !routes.isInside(inner, outer)) return [];
    return [
      shadowed(
        inner,
        `${methods.join(', ')} ${inner.path}: in Kyma, the rule ${outer.path} at ${outer.source} matched this path as well, and ` +
          'Oathkeeper answered 500; here this rule lets everyone in. Remove it if no client should use it',
      ),
    ];
  });
}

function restrictedTwin(rule: Rule, twin: Rule): Finding[] {
  const unknown = rule.methods.filter((method) => !twin.methods.includes(method));
  // If they share a method, they are duplicates, which is reported as an error.
  if (unknown.length < rule.methods.length) return [];
  return [
    shadowed(
      rule,
      `${unknown.join(', ')} ${rule.path}: Kyma dropped this rule, because the earlier rule at ${twin.source} has the ` +
        'same path, and answered 404; here this rule answers. Remove it if no client should use it',
    ),
  ];
}

function shadowed(rule: Rule, message: string): Finding {
  return { ...positionOf(rule), level: 'warning', code: 'kyma-shadowed-rule', message };
}

/** Whether Kyma's route for the rule leads directly to the workload, without Oathkeeper. */
function isOpen({ strategies }: Rule): boolean {
  return strategies.every(({ handler }) => handler === 'allow' || handler === 'no_auth');
}

/** Whether a request without a credential gets through. */
function needsNothing({ strategies }: Rule): boolean {
  return strategies.some(({ handler }) => OPEN_HANDLERS.has(handler));
}

function isGuarded(rule: Rule): boolean {
  return !isOpen(rule);
}

/** Whether the route is for the rule's methods only. That is so only for `no_auth`. */
function isRestricted({ strategies }: Rule): boolean {
  return strategies.some(({ handler }) => handler === 'no_auth');
}
