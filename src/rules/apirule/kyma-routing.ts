import type { Finding } from '../../document/finding.js';
import type { Rule } from '../../model/rule.js';
import { relate } from '../pattern/overlap.js';
import { positionOf } from '../table/disjointness.js';

/**
 * Warns where a rule of one APIRule answers here that Kyma never asked.
 *
 * Kyma made one Istio route of each path, and dropped a rule whose path an earlier rule had already. The first route
 * whose path matched took the request: for `allow` and `no_auth` to the workload, for all other handlers to Oathkeeper,
 * which answered 404 if none of its rules had the method. A later `allow` or `no_auth` rule on such a path had no say.
 *
 * @param rules of one APIRule of v1alpha1 or v1beta1, in its order
 */
export function kymaHidden(rules: readonly Rule[]): Finding[] {
  return rules.flatMap((rule, index) => {
    const earlier = rules.slice(0, index).filter((other) => !isDropped(other, rules));
    const twin = earlier.find(({ path }) => path === rule.path);
    if (twin !== undefined && isRestricted(twin)) return restrictedTwin(rule, twin);
    if (!isOpen(rule)) return [];
    return earlier
      .filter(
        (other) => isGuarded(other) && !earlier.some((opener) => opensBefore(opener, other, rule, rules)),
      )
      .flatMap((other) => guardedFirst(rule, other, rules));
  });
}

/**
 * Whether Kyma never asked a rule: an earlier one of its APIRule had all of its paths.
 *
 * @param rules of one APIRule of v1alpha1 or v1beta1, in its order
 */
export function isWhollyHidden(rule: Rule, rules: readonly Rule[]): boolean {
  if (isDropped(rule, rules)) return true;
  return rules.slice(0, rules.indexOf(rule)).some((other) => !isRestricted(other) && isInside(rule, other));
}

function isInside(rule: Rule, other: Rule): boolean {
  const { relation } = relate(rule.pattern, other.pattern);
  return relation === 'a-in-b' || relation === 'equal';
}

function isDropped(rule: Rule, rules: readonly Rule[]): boolean {
  return rules.slice(0, rules.indexOf(rule)).some(({ path }) => path === rule.path);
}

/** An earlier open route for all that a rule allows: Kyma let it in as well. */
function opensBefore(opener: Rule, guarded: Rule, rule: Rule, rules: readonly Rule[]): boolean {
  return (
    isOpen(opener) &&
    rules.indexOf(opener) < rules.indexOf(guarded) &&
    (!isRestricted(opener) || rule.methods.every((method) => opener.methods.includes(method))) &&
    isInside(rule, opener)
  );
}

function guardedFirst(rule: Rule, first: Rule, rules: readonly Rule[]): Finding[] {
  const { relation, witness } = relate(rule.pattern, first.pattern);
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
