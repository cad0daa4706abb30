import { cookieKey, cookieKeys, cookieValues } from './cookies.js';
import { type Fields, singleField } from './fields.js';
import { type BodyReader, formLength } from './form.js';
import { occurrences } from './parameter.js';

/** One place that a rule reads its token from; the default is only the Authorization field. */
export type TokenSource =
  /**
   * `scheme` is the word before the token; the default is `Bearer` in Authorization, and no scheme elsewhere.
   * `prefix` is any other text before the token (Istio's `fromHeaders.prefix`), compared exactly.
   */
  | { readonly header: string; readonly scheme?: string; readonly prefix?: string }
  | { readonly query_parameter: string }
  | { readonly cookie: string }
  | { readonly form_parameter: string };

/** The key that identifies a place. The scheme is not part of it. */
export function placeKey(source: TokenSource): string {
  if ('header' in source) return `header ${source.header.toLowerCase()}`;
  if ('cookie' in source) return `cookie ${source.cookie}`;
  return 'form_parameter' in source ? `form ${source.form_parameter}` : `query ${source.query_parameter}`;
}

/** The parts of a request that may contain a token. */
export interface TokenRequest {
  readonly method: string;
  readonly fields: Fields;
  readonly target: { readonly query: string };
  /** Undefined if there is no body to search. */
  readonly body?: BodyReader | undefined;
}

/** One well-formed token. */
export interface TokenCredential {
  readonly kind: 'token';
  readonly token: string;
  /** Undefined for a bearer token. */
  readonly scheme?: 'DPoP';
}

/** The credential of a request. */
export type Credential =
  | TokenCredential
  /** No credential, or one of another scheme: the response then has no error code (RFC 6750 §3.1). */
  | { readonly kind: 'none' }
  /** More than one credential, or one that is not a valid token: 400 `invalid_request`. */
  | { readonly kind: 'malformed'; readonly reason: string };

/** `b64token` of RFC 6750 §2.1. */
const B64TOKEN = /^[A-Za-z0-9\-._~+/]+=*$/;
/** The longest token, in bytes. A longer one is refused before introspection. */
const MAX_TOKEN_LENGTH = 4096;
/** The parameter name of RFC 6750 §2.2 and §2.3. */
const ACCESS_TOKEN = 'access_token';
const NONE: Credential = { kind: 'none' };
const SEVERAL = 'the request carries more than one token';
const TWO_METHODS = 'the request carries a token in the header and in the query';

/**
 * Finds the request's single token in a rule's places, in their order. A second token makes the request
 * malformed, whether it is in another of these places or in one of the standard places (RFC 6750 §2).
 * Otherwise nobody could know which of the two the upstream would use.
 *
 * @param sources the places; undefined means the Authorization field
 * @param dpop whether the scheme DPoP is supported (RFC 9449 §7.1); if not, it counts as any other scheme
 * @returns a promise only if a form must be read
 */
export function readCredential(
  request: TokenRequest,
  sources: readonly TokenSource[] | undefined,
  dpop: boolean,
): Credential | Promise<Credential> {
  if (sources !== undefined) return withForm(request, sources, (form) => oneOf(request, sources, dpop, form));
  const { fields, target } = request;
  const credential = fromAuthorization(fields.authorization, dpop);
  if (credential.kind === 'none' || target.query === '') return credential;
  return carriesAccessToken(target.query) ? malformed(TWO_METHODS) : credential;
}

/**
 * Whether a request has a credential in some places. Other access strategies of the rule read their tokens
 * from these, so a token there would be a second credential.
 *
 * @param sources the places
 * @returns a promise only if a form must be read
 */
export function holdsCredential(
  request: TokenRequest,
  sources: readonly TokenSource[],
): boolean | Promise<boolean> {
  return withForm(request, sources, (form) =>
    sources.some((source) => readPlace(request, source, true, form).held > 0),
  );
}

/**
 * Whether a request has a token in a place that any upstream may read: the schemes Bearer and DPoP in
 * Authorization, and `access_token` in the query (RFC 6750 §2, RFC 9449 §7.1).
 */
export function holdsBearer({ fields, target }: TokenRequest): boolean {
  return statesBearer(fields.authorization) || carriesAccessToken(target.query);
}

/**
 * Calls `read` with the form, if one of the places is a form parameter and the request's form may be read.
 * Otherwise it calls `read` without a form.
 */
function withForm<T>(
  { method, fields, body }: TokenRequest,
  sources: readonly TokenSource[],
  read: (form: Buffer | undefined) => T,
): T | Promise<T> {
  const wanted = body !== undefined && sources.some((source) => 'form_parameter' in source);
  const length = wanted ? formLength(method, fields) : undefined;
  if (length === undefined) return read(undefined);
  const form = body?.readBody(length);
  return form instanceof Promise ? form.then(read) : read(form);
}

function oneOf(
  request: TokenRequest,
  sources: readonly TokenSource[],
  dpop: boolean,
  form: Buffer | undefined,
): Credential {
  let found: Credential = NONE;
  let from: TokenSource | undefined;
  let held = 0;
  for (const source of sources) {
    const place = readPlace(request, source, dpop, form);
    if (place.credential.kind === 'malformed') return place.credential;
    held += place.held;
    if (place.credential.kind === 'none') continue;
    found = place.credential;
    from = source;
  }
  if (found.kind === 'none' || from === undefined) return found;
  if (held > 1) return malformed(SEVERAL);
  const { fields, target } = request;
  const inField = !isAuthorization(from) && statesBearer(fields.authorization);
  const inQuery = !isAccessToken(from, 'query_parameter') && carriesAccessToken(target.query);
  const inForm =
    form !== undefined &&
    !isAccessToken(from, 'form_parameter') &&
    occurrences(form.toString('latin1'), ACCESS_TOKEN).lookalikes > 0;
  if (isAuthorization(from) ? inQuery : inField && 'query_parameter' in from) return malformed(TWO_METHODS);
  return inField || inQuery || inForm ? malformed(SEVERAL) : found;
}

/** The content of one place. */
interface Place {
  readonly credential: Credential;
  /**
   * How many credentials the most lenient server could find there. A credential under another spelling of the
   * name counts here, but scopegate does not read its token.
   */
  readonly held: number;
}

const EMPTY: Place = { credential: NONE, held: 0 };

function readPlace(
  { fields, target }: TokenRequest,
  source: TokenSource,
  dpop: boolean,
  form: Buffer | undefined,
): Place {
  if ('header' in source) return inHeader(fields, source, dpop);
  if ('cookie' in source) {
    const values = cookieValues(fields.cookie, source.cookie);
    const lookalikes = cookieKeys(fields.cookie ?? '').filter((key) => key === cookieKey(source.cookie));
    return single(values, Math.max(values.length, lookalikes.length), 'the token cookie');
  }
  if ('query_parameter' in source) {
    const { values, lookalikes } = occurrences(target.query, source.query_parameter);
    return single(values, Math.max(values.length, lookalikes), 'the token parameter');
  }
  if (form === undefined) return EMPTY;
  const { values, lookalikes } = occurrences(form.toString('latin1'), source.form_parameter);
  // RFC 6750 §2.2: a form with a token must be ASCII only.
  const plain = form.every((byte) => byte < 0x80);
  return single(plain ? values : [], Math.max(values.length, lookalikes), 'the token parameter');
}

function single(values: readonly string[], held: number, what: string): Place {
  const [value] = values;
  if (held > 1) return { credential: malformed(`${what} is given more than once`), held };
  return value === undefined ? { credential: NONE, held } : { credential: checked(value), held };
}

function inHeader(
  fields: Fields,
  source: { readonly header: string; readonly scheme?: string; readonly prefix?: string },
  dpop: boolean,
): Place {
  const { scheme, prefix } = source;
  if (isAuthorization(source)) {
    const value = fields.authorization;
    if (prefix !== undefined) return counted(after(value, prefix));
    return counted(scheme === undefined ? fromAuthorization(value, dpop) : behind(value, scheme));
  }
  const name = source.header.toLowerCase();
  const count = fields.names.filter((each) => spelledAlike(each, name)).length;
  if (count === 0) return EMPTY;
  if (count > 1) return { credential: malformed('the token field is given more than once'), held: count };
  const value = singleField(fields, name) ?? undefined;
  if (value === undefined) return { credential: NONE, held: 1 };
  if (prefix !== undefined) return counted(after(value, prefix));
  return counted(scheme === undefined ? checked(value) : behind(value, scheme));
}

function counted(credential: Credential): Place {
  return credential.kind === 'none' ? EMPTY : { credential, held: 1 };
}

/**
 * Whether two names are the same for CGI and similar interfaces, which write every character of a name that
 * is neither letter nor digit as an underscore.
 */
function spelledAlike(given: string, name: string): boolean {
  return given === name || (given.length === name.length && plain(given) === plain(name));
}

function plain(name: string): string {
  return name.replace(/[^a-z0-9]/g, '_');
}

function isAuthorization(source: TokenSource): boolean {
  return 'header' in source && source.header.toLowerCase() === 'authorization';
}

function isAccessToken(source: TokenSource, place: 'query_parameter' | 'form_parameter'): boolean {
  return (source as Readonly<Record<string, string>>)[place] === ACCESS_TOKEN;
}

function carriesAccessToken(query: string): boolean {
  return query !== '' && occurrences(query, ACCESS_TOKEN).lookalikes > 0;
}

/**
 * A bearer or DPoP credential as the most lenient upstream finds it: in any case, after any white space, in a
 * list, with or without a token.
 */
const BEARER = /(?:^|[\s,])(?:bearer|dpop)(?![!#$%&'*+.^_`|~0-9a-z-])/i;

function statesBearer(authorization: string | undefined): boolean {
  return authorization !== undefined && BEARER.test(authorization);
}

function fromAuthorization(authorization: string | undefined, dpop: boolean): Credential {
  if (authorization === undefined) return NONE;
  const space = authorization.indexOf(' ');
  const scheme = space === -1 ? authorization : authorization.slice(0, space);
  // The scheme is case-insensitive (RFC 9110 §11.1). A credential of another scheme is not a bearer
  // credential.
  const bearer = scheme.length === 6 && scheme.toLowerCase() === 'bearer';
  if (!bearer && !(dpop && scheme.length === 4 && scheme.toLowerCase() === 'dpop')) return NONE;
  let start = space === -1 ? authorization.length : space;
  while (authorization.charCodeAt(start) === 0x20) start++;
  const credential = checked(authorization.slice(start));
  return bearer || credential.kind !== 'token' ? credential : { ...credential, scheme: 'DPoP' };
}

/** Reads the token after a scheme. A value of another scheme counts as no credential. */
function behind(value: string | undefined, scheme: string): Credential {
  const [given, ...rest] = (value ?? '').split(' ');
  if (given?.toLowerCase() !== scheme.toLowerCase()) return NONE;
  return checked(rest.join(' ').trimStart());
}

/** Reads the token after a prefix that is not a scheme, with or without blanks between them. */
function after(value: string | undefined, prefix: string): Credential {
  return value?.startsWith(prefix) === true ? checked(value.slice(prefix.length).trimStart()) : NONE;
}

function checked(token: string): Credential {
  if (token.length > MAX_TOKEN_LENGTH) return malformed('the token is too long');
  return B64TOKEN.test(token) ? { kind: 'token', token } : malformed('the token is malformed');
}

/**
 * Removes one parameter from a query, in every spelling that a server may read as its name, and leaves every
 * other byte unchanged.
 *
 * @param query with its `?`, or empty
 * @param name the decoded name
 */
export function withoutParameter(query: string, name: string): string {
  if (occurrences(query, name).lookalikes === 0) return query;
  const kept = query
    .slice(1)
    .split('&')
    // Of a whole query, `occurrences` would ignore a `?` at the start; the `&` prevents that.
    .filter((pair) => occurrences(`&${pair}`, name).lookalikes === 0);
  return kept.length === 0 ? '' : `?${kept.join('&')}`;
}

function malformed(reason: string): Credential {
  return { kind: 'malformed', reason };
}
