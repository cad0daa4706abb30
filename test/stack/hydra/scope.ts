/**
 * Whether one of the patterns grants a scope, by Hydra's default strategy, `wildcard`: parts between dots are
 * compared one by one, `*` stands for one part that is not empty, and for all further parts where it is the last.
 * Written apart from the gateway's own strategies, so that a mistake there does not pass here.
 */
export function grants(patterns: readonly string[], scope: string): boolean {
  const wanted = scope.split('.');
  return patterns.some((pattern) => {
    const parts = pattern.split('.');
    if (parts.length > wanted.length) return false;
    if (parts.length < wanted.length && parts.at(-1) !== '*') return false;
    return parts.every((part, index) => (part === '*' ? wanted[index] !== '' : part === wanted[index]));
  });
}

/** The words of a space-separated list; `null` and the empty string have none. */
export function words(list: string | null | undefined): string[] {
  return (list ?? '').split(' ').filter((word) => word !== '');
}
