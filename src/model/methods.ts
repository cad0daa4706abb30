import { METHODS as READABLE } from 'node:http';

/**
 * The methods of Kyma's list without CONNECT and TRACE, which a reverse proxy must not forward. Metrics name
 * these; any other one is `other` there.
 */
export const METHODS: readonly string[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

/**
 * Every method that a rule can name: those above first, then the others that Node's parser can read, such as
 * PROPFIND (RFC 4918 §9.1) and PURGE.
 */
export const RULE_METHODS: readonly string[] = [
  ...METHODS,
  ...READABLE.filter((method) => !METHODS.includes(method) && method !== 'CONNECT' && method !== 'TRACE'),
];

/** The safe ones among them (RFC 9110 §9.2.1). */
export const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);
