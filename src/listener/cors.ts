import type { CorsPolicy, Rule } from '../model/rule.js';
import { type Fields, fieldList, singleField } from '../parse/fields.js';
import { TOKEN } from '../parse/grammar.js';

/** Header fields: name, value, name, value … */
export type FieldList = readonly string[];

/**
 * The method that a preflight asks for. Undefined for any other request: an OPTIONS request without the
 * fields of a preflight is an ordinary request.
 */
export function preflightMethod(method: string | undefined, fields: Fields): string | undefined {
  if (method !== 'OPTIONS') return undefined;
  const asked = singleField(fields, 'access-control-request-method');
  return typeof asked === 'string' && typeof singleField(fields, 'origin') === 'string' ? asked : undefined;
}

/** The fields of the response to a preflight. An origin that is not allowed gets no CORS field. */
export function preflightFields(policy: CorsPolicy, fields: Fields): FieldList {
  const vary = ['vary', 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers'];
  const origin = allowedOrigin(policy, fields);
  if (origin === undefined) return vary;
  const { methods, headers, credentials, maxAge } = policy;
  return [
    ...vary,
    'access-control-allow-origin',
    origin,
    ...(credentials ? ['access-control-allow-credentials', 'true'] : []),
    ...(methods.length > 0 ? ['access-control-allow-methods', methods.join(', ')] : []),
    ...(headers.length > 0 ? ['access-control-allow-headers', allowedHeaders(policy, fields)] : []),
    ...(maxAge === undefined ? [] : ['access-control-max-age', String(maxAge)]),
  ];
}

/**
 * The CORS fields of the response to any other request; they replace the upstream's.
 *
 * @param rule of the request; undefined if there is none
 * @param fields of the request; undefined if they were not read
 * @returns undefined if the rule has no CORS policy
 */
export function corsFields(rule: Rule | undefined, fields: Fields | undefined): FieldList | undefined {
  const policy = rule?.cors;
  if (policy === undefined || fields === undefined) return undefined;
  if (!policy.answers) return [];
  const origin = allowedOrigin(policy, fields);
  if (origin === undefined) return ['vary', 'Origin'];
  return [
    'vary',
    'Origin',
    'access-control-allow-origin',
    origin,
    ...(policy.credentials ? ['access-control-allow-credentials', 'true'] : []),
    ...(policy.exposed.length > 0 ? ['access-control-expose-headers', policy.exposed.join(', ')] : []),
  ];
}

/**
 * The request's origin, if the policy allows it. The response names it and never says `*`, because it is only
 * for this origin.
 */
function allowedOrigin(policy: CorsPolicy, fields: Fields): string | undefined {
  const origin = singleField(fields, 'origin');
  return typeof origin === 'string' && SENDABLE.test(origin) && policy.allowsOrigin(origin)
    ? origin
    : undefined;
}

/**
 * The value of Access-Control-Allow-Headers. Browsers read `*` as any field except Authorization, and with
 * credentials as a field named `*` (Fetch §4.9). So the names that the browser asks for are listed instead of
 * `*`.
 */
function allowedHeaders({ headers }: CorsPolicy, fields: Fields): string {
  const asked = singleField(fields, 'access-control-request-headers');
  if (!headers.includes('*') || typeof asked !== 'string') return headers.join(', ');
  const names = fieldList(asked);
  const named = headers.map((name) => name.toLowerCase());
  const granted = names.filter(
    (name) => TOKEN.test(name) && (name !== 'authorization' || named.includes('authorization')),
  );
  return [
    ...new Set([...headers.filter((name) => name !== '*').map((name) => name.toLowerCase()), ...granted]),
  ].join(', ');
}

/**
 * The characters of an origin. The regular expressions of a policy were proved safe for texts of these
 * characters.
 */
const SENDABLE = /^[\x21-\x7e]{1,512}$/;
