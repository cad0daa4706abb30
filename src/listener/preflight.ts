import type { Rule, RuleTable } from '../model/rule.js';
import type { Fields } from '../parse/fields.js';
import type { Target } from '../parse/target.js';
import { type FieldList, preflightFields, preflightMethod } from './cors.js';

/** A preflight that the gateway answers itself. */
export interface Preflight {
  /** The rule that the announced request would come to. */
  readonly rule: Rule;
  /** Header fields of the answer: name, value, name, value … */
  readonly fields: FieldList;
}

/**
 * Answers a CORS preflight (Fetch §4.8) by the policy of the rule that the request it announces would come to. A
 * browser sends none of the page's credentials along, so this comes before authorization. Undefined for any other
 * request, and where no such rule has a policy: then it is an OPTIONS request like others.
 *
 * @param method as received
 */
export function preflight(
  table: RuleTable,
  method: string | undefined,
  target: Target,
  fields: Fields,
): Preflight | undefined {
  const asked = preflightMethod(method, fields);
  if (asked === undefined) return undefined;
  const rule = table.find(target.host, asked, target.path);
  if (rule?.cors === undefined || !rule.cors.answers) return undefined;
  return { rule, fields: preflightFields(rule.cors, fields) };
}
