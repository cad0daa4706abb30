import type { MatchContext, Session } from '../../model/mutator.js';

/**
 * The captured groups of the path, from the first one on. A group that did not take part in the match is
 * empty.
 */
export function captureGroups({ pattern, path }: MatchContext): string[] {
  return (pattern.exec(path) ?? []).slice(1).map((group: string | undefined) => group ?? '');
}

/**
 * A value of `.Extra` by its name. If the session has no such value, it is a claim of the credential that
 * Oathkeeper leaves out of the session, such as `iss` of an introspection answer.
 */
export function extraOf({ extra, claims }: Session, name: string): unknown {
  if (Object.hasOwn(extra, name)) return extra[name];
  return claims !== undefined && Object.hasOwn(claims, name) ? claims[name] : undefined;
}
