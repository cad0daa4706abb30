import type { Fields } from './fields.js';
import { singleField } from './fields.js';

/** Where a rule reads its bearer token from (`token_from`); by default the Authorization field alone. */
export type TokenSource =
  | { readonly header: string }
  | { readonly query_parameter: string }
  | { readonly cookie: string };

/** One well-formed token. */
export interface TokenCredential {
  readonly kind: 'token';
  readonly token: string;
  /** Undefined: it is a bearer token. */
  readonly scheme?: 'DPoP';
}

/** What a request carries as its credential. */
export type Credential =
  | TokenCredential
  /** No credential, or one of another scheme: the answer carries no error code (RFC 6750 §3.1). */
  | { readonly kind: 'none' }
  /** More than one, or one that is no token at all: 400 `invalid_request`. */
  | { readonly kind: 'malformed'; readonly reason: string };

/** `b64token` of RFC 6750 §2.1. */
const B64TOKEN = /^[A-Za-z0-9\-._~+/]+=*$/;
/** A longer one is refused before anybody is asked about it, in bytes. */
const MAX_TOKEN_LENGTH = 4096;
const NONE: Credential = { kind: 'none' };

/**
 * Finds the request's one bearer token (RFC 6750 §2).
 *
 * A request that carries `access_token` in its query beside a bearer Authorization uses two methods and is refused
 * even where query tokens are off (RFC 6750 §2 and §3.1): which of the two an upstream would believe is unknown.
 *
 * @param query the target's query, with its `?`
 * @param source the rule's `token_from`
 * @param dpop whether the scheme DPoP is served (RFC 9449 §7.1); where not, it is another scheme like any
 */
export function readToken(fields: Fields, query: string, source?: TokenSource, dpop = false): Credential {
  if (source === undefined) {
    const credential = fromAuthorization(fields.authorization, dpop);
    if (credential.kind !== 'none' && mentions(query, 'access_token')) {
      return malformed('the request carries a token in the header and in the query');
    }
    return credential;
  }
  if ('header' in source) {
    const name = source.header.toLowerCase();
    if (name === 'authorization') return fromAuthorization(fields.authorization, dpop);
    const value = singleField(fields, name);
    if (value === undefined) return NONE;
    return value === null ? malformed('the token field stands more than once') : checked(value);
  }
  if ('query_parameter' in source) {
    const values = new URLSearchParams(query).getAll(source.query_parameter);
    if (values.length === 0) return NONE;
    if (values.length > 1) return malformed('the token parameter stands more than once');
    if (fromAuthorization(fields.authorization, dpop).kind !== 'none') {
      return malformed('the request carries a token in the header and in the query');
    }
    return checked(values[0] as string);
  }
  const values = cookieValues(fields.cookie, source.cookie);
  if (values.length === 0) return NONE;
  return values.length > 1
    ? malformed('the token cookie stands more than once')
    : checked(values[0] as string);
}

function fromAuthorization(authorization: string | undefined, dpop: boolean): Credential {
  if (authorization === undefined) return NONE;
  const space = authorization.indexOf(' ');
  const scheme = space === -1 ? authorization : authorization.slice(0, space);
  // The scheme is case-insensitive (RFC 9110 §11.1); another one is no bearer credential at all.
  const bearer = scheme.length === 6 && scheme.toLowerCase() === 'bearer';
  if (!bearer && !(dpop && scheme.length === 4 && scheme.toLowerCase() === 'dpop')) return NONE;
  let start = space === -1 ? authorization.length : space;
  while (authorization.charCodeAt(start) === 0x20) start++;
  const credential = checked(authorization.slice(start));
  return bearer || credential.kind !== 'token' ? credential : { ...credential, scheme: 'DPoP' };
}

function checked(token: string): Credential {
  if (token.length > MAX_TOKEN_LENGTH) return malformed('the token is too long');
  return B64TOKEN.test(token) ? { kind: 'token', token } : malformed('the token is malformed');
}

function mentions(query: string, name: string): boolean {
  // The cheap test first: a parameter of that name has either the name or an escape in it.
  if (query === '' || !(query.includes(name) || /[%+]/.test(query))) return false;
  return new URLSearchParams(query).has(name);
}

/**
 * A query without one parameter, byte by byte as it was otherwise.
 *
 * @param query with its `?`, or empty
 * @param name as it is when decoded
 */
export function withoutParameter(query: string, name: string): string {
  if (!mentions(query, name)) return query;
  // The `&` keeps a `?` at the start of a name from being taken for the query's own.
  const kept = query
    .slice(1)
    .split('&')
    .filter((pair) => !new URLSearchParams(`&${pair}`).has(name));
  return kept.length === 0 ? '' : `?${kept.join('&')}`;
}

/** RFC 6265 §4.2.1: `name=value` pairs; a quoted value keeps its quotes off. */
function cookieValues(cookie: string | undefined, name: string): string[] {
  if (cookie === undefined) return [];
  const values: string[] = [];
  for (const pair of cookie.split(';')) {
    const equals = pair.indexOf('=');
    if (equals === -1 || pair.slice(0, equals).trim() !== name) continue;
    values.push(
      pair
        .slice(equals + 1)
        .trim()
        .replace(/^"(.*)"$/, '$1'),
    );
  }
  return values;
}

function malformed(reason: string): Credential {
  return { kind: 'malformed', reason };
}
