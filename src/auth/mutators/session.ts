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

/** The values of a header field, in the order in which the client sent them. */
export function headerValues({ rawHeaders }: MatchContext, name: string): string[] {
  const lower = name.toLowerCase();
  const values: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i]?.toLowerCase() === lower) values.push(rawHeaders[i + 1] as string);
  }
  return values;
}
