import { type Fields, singleField } from './fields.js';
import { type BodyReader, formLength, formValues } from './form.js';

/** One place where a rule reads its token from; by default the Authorization field alone. */
export type TokenSource =
  /** `scheme` is what stands before the token; default `Bearer` in Authorization, and nothing elsewhere. */
  | { readonly header: string; readonly scheme?: string }
  | { readonly query_parameter: string }
  | { readonly cookie: string }
  | { readonly form_parameter: string };

/** A request as its token is looked for. */
export interface TokenRequest {
  readonly method: string;
  readonly fields: Fields;
  readonly target: { readonly query: string };
  /** Undefined where there is no body to look into. */
  readonly body?: BodyReader | undefined;
}

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
 * Finds the request's one token in a rule's places, in their order. A second one, in another of them or in one of the
 * standard places (RFC 6750 §2), makes the request malformed: which of the two an upstream would believe is unknown.
 *
 * @param sources undefined: the Authorization field
 * @param dpop as in {@link readToken}
 * @returns a promise only where a form has to be read
 */
export function readCredential(
  request: TokenRequest,
  sources: readonly TokenSource[] | undefined,
  dpop: boolean,
): Credential | Promise<Credential> {
  const { fields, target } = request;
  if (sources === undefined) return readToken(fields, target.query, undefined, dpop);
  const [only] = sources;
  if (sources.length === 1 && only !== undefined && !('form_parameter' in only)) {
    return readToken(fields, target.query, only, dpop);
  }
  const form = sources.some((source) => 'form_parameter' in source);
  const length = form && request.body !== undefined ? formLength(request.method, fields) : undefined;
  if (length === undefined) return oneOf(request, sources, dpop, undefined);
  const body = request.body?.readBody(length);
  return body instanceof Promise
    ? body.then((read) => oneOf(request, sources, dpop, read))
    : oneOf(request, sources, dpop, body);
}

function oneOf(
  { fields, target }: TokenRequest,
  sources: readonly TokenSource[],
  dpop: boolean,
  body: Buffer | undefined,
): Credential {
  let found: Credential = NONE;
  const all = sources.map((source) => fromSource(fields, target.query, source, dpop, body));
  for (const credential of all) {
    if (credential.kind === 'malformed') return credential;
    if (credential.kind === 'none') continue;
    if (found.kind !== 'none') return malformed('the request carries more than one token');
    found = credential;
  }
  if (found.kind === 'none') return found;
  const named = (place: 'header' | 'query_parameter', name: string) =>
    sources.some((source) => (source as Record<string, string>)[place]?.toLowerCase() === name);
  const elsewhere =
    (!named('header', 'authorization') && fromAuthorization(fields.authorization, dpop).kind !== 'none') ||
    (!named('query_parameter', 'access_token') && mentions(target.query, 'access_token'));
  if (elsewhere) return malformed('the request carries more than one token');
  return found;
}

function fromSource(
  fields: Fields,
  query: string,
  source: TokenSource,
  dpop: boolean,
  body: Buffer | undefined,
): Credential {
  if (!('form_parameter' in source)) return readToken(fields, query, source, dpop);
  const values = body === undefined ? [] : formValues(body, source.form_parameter);
  if (values.length === 0) return NONE;
  return values.length > 1
    ? malformed('the token parameter stands more than once')
    : checked(values[0] as string);
}

/**
 * Finds the request's one bearer token (RFC 6750 §2).
 *
 * A request that carries `access_token` in its query beside a bearer Authorization uses two methods and is refused
 * even where query tokens are off (RFC 6750 §2 and §3.1): which of the two an upstream would believe is unknown.
 *
 * @param query the target's query, with its `?`
 * @param source the rule's one place
 * @param dpop whether the scheme DPoP is served (RFC 9449 §7.1); where not, it is another scheme like any
 */
export function readToken(
  fields: Fields,
  query: string,
  source?: Exclude<TokenSource, { readonly form_parameter: string }>,
  dpop = false,
): Credential {
  if (source === undefined) {
    const credential = fromAuthorization(fields.authorization, dpop);
    if (credential.kind !== 'none' && mentions(query, 'access_token')) {
      return malformed('the request carries a token in the header and in the query');
    }
    return credential;
  }
  if ('header' in source) {
    const name = source.header.toLowerCase();
    const { scheme } = source;
    if (name === 'authorization' && scheme === undefined)
      return fromAuthorization(fields.authorization, dpop);
    const value = singleField(fields, name);
    if (value === undefined) return NONE;
    if (value === null) return malformed('the token field stands more than once');
    return scheme === undefined ? checked(value) : behind(value, scheme);
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

/** What stands behind a scheme; a value of another scheme is no token of ours. */
function behind(value: string, scheme: string): Credential {
  const [given, ...rest] = value.split(' ');
  if (given?.toLowerCase() !== scheme.toLowerCase()) return NONE;
  return checked(rest.join(' ').trimStart());
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
