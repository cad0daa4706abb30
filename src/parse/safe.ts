/** Methods that change nothing (RFC 9110 §9.2.1), of those that a rule can have. */
export const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);
