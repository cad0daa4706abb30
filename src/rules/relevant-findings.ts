import { byPosition, type Finding, isError } from '../document/finding.js';
import type { Rule } from '../model/rule.js';
import type { Explanation } from './explain.js';
import { apiRuleOf, positionOf } from './table/overlaps.js';

/**
 * Selects the findings that belong to one request: the warnings about the rules that match it, and about their
 * APIRules as a whole. If no rule matches, an APIRule that was left out may be why.
 *
 * @param findings all findings of the settings and the rules
 * @returns in the same order, with all errors
 */
export function relevantFindings(
  findings: readonly Finding[],
  { candidates }: Pick<Explanation, 'candidates'>,
): Finding[] {
  const rules = candidates.map(({ rule }) => rule);
  const matching = new Set(
    candidates.filter(({ failed }) => !['host', 'method', 'path'].includes(failed)).map(({ rule }) => rule),
  );
  return findings.filter((finding) => {
    if (isError(finding)) return true;
    if (matching.size === 0) return finding.code === 'left-out';
    const own = rules.filter((rule) => apiRuleOf(rule) === finding.apiRule);
    const at = rulesAt(own, finding);
    return (at.length === 0 ? own : at).some((rule) => matching.has(rule));
  });
}

/**
 * The rules of an APIRule in which a finding stands: those that begin last before it. They are several if the
 * rules have one position, as those of an annotation have.
 *
 * @returns none if it stands before all of them
 */
function rulesAt(rules: readonly Rule[], finding: Finding): Rule[] {
  const before = rules.filter(
    (rule) => positionOf(rule).file === finding.file && byPosition(positionOf(rule), finding) <= 0,
  );
  const last = before.reduce<Rule | undefined>(
    (found, rule) =>
      found === undefined || byPosition(positionOf(rule), positionOf(found)) > 0 ? rule : found,
    undefined,
  );
  return last === undefined ? [] : before.filter(({ source }) => source === last.source);
}
