/** What the settings say of identity fields, besides the table of those that scopegate knows. */
export interface IdentityFieldSettings {
  /** Further fields that no client's request keeps: names, and beginnings of names that end in `*`. */
  readonly remove: readonly string[];
  /** Fields that pass as they came, whoever sends them. */
  readonly keep: readonly string[];
}

/** A name (RFC 9110 §5.1), or the beginning of one and `*`. A name may hold `*` as well, but none in use does. */
const PATTERN = /^[!#$%&'+.^_`|~0-9a-z-]+\*?$/i;

/** What scopegate reads, frames the request with, or writes anew: neither list can change what becomes of it. */
const OWN: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'forwarded',
  'host',
  'transfer-encoding',
  'via',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-request-id',
]);

/**
 * What is wrong with the two lists.
 *
 * @returns for each problem where it is, below the setting, and how a sentence about it ends
 */
export function identityFieldProblems({
  remove,
  keep,
}: IdentityFieldSettings): { readonly path: readonly (string | number)[]; readonly problem: string }[] {
  const removed = new Set(remove.map((field) => field.toLowerCase()));
  return (['remove', 'keep'] as const).flatMap((list) =>
    (list === 'remove' ? remove : keep).flatMap((field, index) => {
      const lower = field.toLowerCase();
      const problem = !PATTERN.test(field)
        ? 'must be the name of a header field, or the beginning of one followed by *'
        : OWN.has(lower)
          ? 'is a field that scopegate itself writes or reads'
          : list === 'keep' && removed.has(lower)
            ? 'stands in remove as well'
            : undefined;
      return problem === undefined ? [] : [{ path: [list, index], problem }];
    }),
  );
}
