/**
 * Renumbers references to capture groups: Oathkeeper counts the groups of the whole URL, an APIRule only
 * those of the path.
 *
 * @param groupsBefore the number of groups before the path
 */
export function shiftedBy(groupsBefore: number): { walk(value: unknown): unknown; readonly before: boolean } {
  let before = false;
  const shift = (text: string): string =>
    text.replace(/(\.RegexpCaptureGroups\s+)(\d+)/g, (_whole, name: string, index: string) => {
      const counted = Number(index) - groupsBefore;
      if (counted < 0) before = true;
      return name + counted;
    });
  const walk = (value: unknown): unknown => {
    if (typeof value === 'string') return shift(value);
    if (Array.isArray(value)) return value.map(walk);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, walk(each)]));
  };
  return {
    walk,
    get before() {
      return before;
    },
  };
}
