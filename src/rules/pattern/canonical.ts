import { canonicalPath } from '../../parse/target.js';
import type { AnalysisBudget } from '../budget.js';
import { relate } from './relation.js';
import { shapeOf, unwrap, wrap } from './syntax.js';

/** A character that stands for itself, but for `.` (RFC 3986 §3.3). */
const OTHER = "[A-Za-z0-9\\-_~!$&'()*+,;=:@]";
/** An escape that stays: upper-case, of no unreserved character, control, `\`, `?` or `#`. */
const ESCAPE = '%(?:2[0-24-9A-CF]|3[A-E]|40|5[BDE]|60|7[BCD]|[89A-F][0-9A-F])';
const ONE = `(?:${OTHER}|${ESCAPE})`;
const ANY = `(?:\\.|${ONE})`;
/** No empty segment, and neither `.` nor `..`. */
const SEGMENT = `(?:${ONE}${ANY}*|\\.${ONE}${ANY}*|\\.\\.${ANY}+)`;

/**
 * All that a path can be when it is matched (docs/paths.md), and a little more: what canonicalisation refuses in
 * context, such as escapes that are not UTF-8, is left out of account.
 */
export const CANONICAL = wrap(`/(?:${SEGMENT}/)*${SEGMENT}?`, '');

/**
 * Whether it is proved that a pattern matches no canonical path, though it matches texts that look like paths: because
 * of an empty segment, a dot segment, half an escape. (Whole escapes in patterns are made canonical with the pattern.)
 *
 * @param budget for the proof
 */
export function isNeverCanonical(pattern: RegExp, budget: AnalysisBudget): boolean {
  const { sample } = shapeOf(pattern);
  if (sample !== undefined && CANONICAL.test(sample)) return false;
  return relate(pattern, CANONICAL, budget).relation === 'disjoint';
}

/** What a literal pattern should be written as; undefined for other patterns, and where no path is that. */
export function canonicalForm(pattern: RegExp): string | undefined {
  const { literal, prefix } = shapeOf(pattern);
  if (!literal) return undefined;
  const canonical = canonicalPath(prefix, true);
  if ('refused' in canonical) return undefined;
  // Whoever writes a pattern escapes what has a meaning there.
  return canonical.path === unwrap(pattern)
    ? undefined
    : canonical.path.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
