import type { MatchContext, Session } from '../../model/mutator.js';

/**
 * The captured groups of the path, from the first one on. A group that did not take part in the match is
 * empty.
 */
export function captureGroups({ pattern, path }: MatchContext): string[] {
  return (pattern.exec(path) ?? []).slice(1).map((group: string | undefined) => group ?? '');
}

/**
 * A value of `.Extra` by its name. Like Oathkeeper, it also finds members of `ext` of the introspection
 * answer; a member of the answer itself takes precedence.
 */
export function extraOf({ extra }: Session, name: string): unknown {
  if (Object.hasOwn(extra, name)) return extra[name];
  const { ext } = extra;
  const lifted = typeof ext === 'object' && ext !== null && Object.hasOwn(ext, name);
  return lifted ? (ext as Readonly<Record<string, unknown>>)[name] : undefined;
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
