import { canonicalPath } from '../../parse/target.js';
import type { AnalysisBudget } from '../budget.js';
import { relate } from './relation.js';
import { shapeOf, wrap } from './syntax.js';

/** A literal character of a path, except `.` (RFC 3986 §3.3). */
const OTHER = "[A-Za-z0-9\\-_~!$&'()*+,;=:@]";
/**
 * An escape that a canonical path keeps: in upper case, and not of an unreserved character, a control, `\`,
 * `?` or `#`.
 */
const ESCAPE = '%(?:2[0-24-9A-CF]|3[A-E]|40|5[BDE]|60|7[BCD]|[89A-F][0-9A-F])';
const ONE = `(?:${OTHER}|${ESCAPE})`;
const ANY = `(?:\\.|${ONE})`;
/** A segment that is not empty and neither `.` nor `..`. */
const SEGMENT = `(?:${ONE}${ANY}*|\\.${ONE}${ANY}*|\\.\\.${ANY}+)`;

/**
 * Matches every path that can occur when a path is matched (docs/paths.md), and a few more: it ignores what
 * canonicalization refuses in context, such as escapes that are not UTF-8.
 */
export const CANONICAL = wrap(`/(?:${SEGMENT}/)*${SEGMENT}?`, '');

/**
 * Whether it is proved that a pattern matches no canonical path, although it matches texts that look like
 * paths. The cause is an empty segment, a dot segment, or half an escape. (Whole escapes in a pattern are
 * made canonical with the pattern.)
 *
 * @param budget the limits for the proof
 */
export function isNeverCanonical(pattern: RegExp, budget: AnalysisBudget): boolean {
  const { sample } = shapeOf(pattern);
  if (sample !== undefined && CANONICAL.test(sample)) return false;
  return relate(pattern, CANONICAL, budget).relation === 'disjoint';
}

/**
 * How a literal pattern is written in canonical form; undefined if the pattern is not literal, or if no path
 * can be written so.
 */
export function canonicalForm(pattern: RegExp): string | undefined {
  const { literal, prefix } = shapeOf(pattern);
  if (!literal) return undefined;
  const canonical = canonicalPath(prefix, true);
  // In a pattern, characters with a special meaning must be escaped.
  return 'refused' in canonical ? undefined : canonical.path.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
