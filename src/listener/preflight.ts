import type { Allowed } from '../model/decision.js';
import type { RuleTable } from '../model/rule.js';
import type { Fields } from '../parse/fields.js';
import type { Target } from '../parse/target.js';
import { type FieldList, preflightFields, preflightMethod } from './cors.js';

/** A preflight that scopegate answers itself. */
export interface Preflight {
  /** Names the rule that matches the announced request. */
  readonly decision: Allowed;
  /** Header fields of the response: name, value, name, value … */
  readonly fields: FieldList;
}

/**
 * Answers a CORS preflight (Fetch §4.8) with the policy of the rule that matches the announced request. A
 * browser sends a preflight without credentials, so this happens before authorization.
 *
 * @param method as received
 * @returns undefined for any other request, or if no matching rule has a policy: it is then handled as an
 *   ordinary OPTIONS request
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
  const decision: Allowed = { allowed: true, rule, path: target.path, subject: { subject: '' } };
  return { decision, fields: preflightFields(rule.cors, fields) };
}
