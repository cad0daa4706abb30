/** The request as mutators see it. */
export interface MatchContext {
  readonly method: string;
  readonly host: string;
  /** Canonical: the one that was matched. */
  readonly path: string;
  /** With its `?`, or empty. */
  readonly query: string;
  /** Name, value, name, value … as the client sent them. */
  readonly rawHeaders: readonly string[];
  /** Compiled path of the rule; its groups are what `RegexpCaptureGroups` holds. */
  readonly pattern: RegExp;
}

/** What one request carries through the mutators of its rule: Oathkeeper's authentication session. */
export interface Session {
  /** Whom the access strategy found; empty where it looked for nobody. */
  readonly subject: string;
  /** What the access strategy learned; a hydrator replaces it. */
  extra: Readonly<Record<string, unknown>>;
  readonly match: MatchContext;
  /** Header fields to set, by lower-case name. */
  readonly headers: Map<string, readonly [name: string, value: string]>;
  /** Cookies to set, by name. */
  readonly cookies: Map<string, string>;
}

/** What the path's groups captured, from the first one on; a group that took no part is empty. */
export function captureGroups({ pattern, path }: MatchContext): string[] {
  return (pattern.exec(path) ?? []).slice(1).map((group: string | undefined) => group ?? '');
}

/**
 * A value of `.Extra` by its name. What an introspection answer holds in `ext`, Oathkeeper lifts up; a member of the
 * answer itself comes first.
 */
export function extraOf({ extra }: Session, name: string): unknown {
  if (Object.hasOwn(extra, name)) return extra[name];
  const { ext } = extra;
  const lifted = typeof ext === 'object' && ext !== null && Object.hasOwn(ext, name);
  return lifted ? (ext as Readonly<Record<string, unknown>>)[name] : undefined;
}

/** The values of a header field, in the order they came. */
export function headerValues({ rawHeaders }: MatchContext, name: string): string[] {
  const lower = name.toLowerCase();
  const values: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i]?.toLowerCase() === lower) values.push(rawHeaders[i + 1] as string);
  }
  return values;
}
