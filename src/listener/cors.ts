import type { CorsPolicy } from '../model/rule.js';
import { type Fields, singleField } from '../parse/fields.js';

/** Header fields: name, value, name, value … */
export type FieldList = readonly string[];

/** The method that a preflight asks about, or undefined for a request that is none: a plain OPTIONS is a request. */
export function preflightMethod(method: string | undefined, fields: Fields): string | undefined {
  if (method !== 'OPTIONS') return undefined;
  const asked = singleField(fields, 'access-control-request-method');
  return typeof asked === 'string' && typeof singleField(fields, 'origin') === 'string' ? asked : undefined;
}

/** The fields of the answer to a preflight; an origin that is not allowed learns nothing. */
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

/** The fields that go into the answer to any other request, in place of the upstream's. */
export function corsFields(policy: CorsPolicy, fields: Fields): FieldList {
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

/** The request's origin, where the policy allows it. It is named, never `*`: the answer is for nobody else. */
function allowedOrigin(policy: CorsPolicy, fields: Fields): string | undefined {
  const origin = singleField(fields, 'origin');
  return typeof origin === 'string' && SENDABLE.test(origin) && policy.allowsOrigin(origin)
    ? origin
    : undefined;
}

/**
 * `*` means any field but Authorization, and with credentials nothing but a field of that name (Fetch §4.9): what the
 * policy means by it is said in the words that browsers take it by.
 */
function allowedHeaders({ headers }: CorsPolicy, fields: Fields): string {
  const asked = singleField(fields, 'access-control-request-headers');
  if (!headers.includes('*') || typeof asked !== 'string') return headers.join(', ');
  const names = asked.split(',').map((name) => name.trim().toLowerCase());
  const named = headers.map((name) => name.toLowerCase());
  const granted = names.filter(
    (name) => TOKEN.test(name) && (name !== 'authorization' || named.includes('authorization')),
  );
  return [
    ...new Set([...headers.filter((name) => name !== '*').map((name) => name.toLowerCase()), ...granted]),
  ].join(', ');
}

/** What an origin is made of; also what the expressions of a policy were proved safe for. */
const SENDABLE = /^[\x21-\x7e]{1,512}$/;

const TOKEN = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;
