/**
 * The methods that a rule can have: Kyma's list without CONNECT and TRACE, which a reverse proxy must not
 * forward.
 */
export const METHODS: readonly string[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

/** The safe ones among them (RFC 9110 §9.2.1). */
export const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);
