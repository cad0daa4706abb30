/** An object of JSON (RFC 8259 §4), or a mapping of YAML. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Whether a parsed value is an object, and neither null nor a list. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The members of a parsed value; none if it is not an object. */
export function membersOf(value: unknown): JsonObject {
  return isObject(value) ? value : {};
}

/**
 * A parsed value if it is a string, and otherwise the empty string. `String(value)` would throw an error for
 * `{ toString: 1 }`, which any file can hold.
 */
export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/**
 * Looks a member up, through objects and lists.
 *
 * @param path names, and indices of lists
 * @returns undefined if there is no such member; what an object inherits does not count
 */
export function memberAt(value: unknown, path: readonly string[]): unknown {
  let found = value;
  for (const step of path) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, step)) return undefined;
    found = (found as JsonObject)[step];
  }
  return found;
}
