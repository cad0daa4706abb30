import { lowerName } from './field-names.js';

/** The result of one pass over a request's raw header fields. */
export interface Fields {
  /** Name, value, name, value … exactly as received (`IncomingMessage.rawHeaders`), without HTTP/2's pseudo fields. */
  readonly raw: readonly string[];
  /** The lower-case name of each field, in the order of `raw`. */
  readonly names: readonly string[];
  /** The value of `:authority` in HTTP/2, or of Host. */
  readonly host: string | undefined;
  readonly authorization: string | undefined;
  readonly cookie: string | undefined;
  readonly contentType: string | undefined;
  /** The declared length of the body in bytes; undefined without Content-Length. */
  readonly contentLength: number | undefined;
  /** Whether a body of undeclared length follows: `Transfer-Encoding: chunked`, or an open stream of HTTP/2. */
  readonly chunked: boolean;
  /** Connection options in lower case (RFC 9110 §7.6.1); undefined without a Connection field. */
  readonly connection: readonly string[] | undefined;
  /** Whether the client waits for `100 Continue` (RFC 9110 §10.1.1). */
  readonly expectsContinue: boolean;
  /** The request's HTTP version, such as `1.1`. */
  readonly version: string;
}

/** Why the fields are refused; `error` names the row of the error table. */
export interface FieldsRefusal {
  readonly refused: string;
  readonly error: 'malformed_request' | 'expectation_failed' | 'headers_too_large';
}

/**
 * Fields that a client must not send with underscores: CGI and WSGI upstreams read `Content_Length` as
 * `Content-Length`. Other names with underscores are dropped before the upstream.
 */
const INIMITABLE = new Set([
  'authorization',
  'connection',
  'content-length',
  'expect',
  'host',
  'proxy-authorization',
  'transfer-encoding',
  'upgrade',
]);

/**
 * The most header fields of a request; legitimate requests have far fewer. Node's own limit must be off
 * (`maxHeadersCount` 0), because Node drops the fields beyond its limit and serves the request without them.
 * A Node upstream drops fields beyond 1000, so the limit leaves room for the fields that scopegate adds.
 */
const MAX_FIELDS = 500;

const OWS = /^[ \t]+|[ \t]+$/g;

/**
 * Reads the raw header fields in one pass: the fields that must be unique, how the body is framed, and which
 * fields belong to the connection. It reads `rawHeaders`, because Node's `headers` silently keeps the first
 * of several fields with the same name.
 *
 * @param raw name, value, name, value …
 * @param version the request's HTTP version, such as `1.1`
 */
export function readFields(raw: readonly string[], version: string): Fields | FieldsRefusal {
  if (raw.length > MAX_FIELDS * 2) {
    return { refused: 'the request has too many header fields', error: 'headers_too_large' };
  }
  const regular = version === '2.0' ? withoutPseudoFields(raw) : raw;
  const names: string[] = [];
  let host: string | undefined;
  let authorization: string | undefined;
  let cookie: string | undefined;
  let contentType: string | undefined;
  let length: string | undefined;
  let coding: string | undefined;
  let expect: string | undefined;
  let connection: string[] | undefined;

  for (let i = 0; i < regular.length; i += 2) {
    const name = lowerName(regular[i] as string);
    const value = regular[i + 1] as string;
    names.push(name);
    switch (name) {
      case 'host':
        if (host !== undefined) return malformed('the request has more than one Host field');
        host = value;
        break;
      case 'authorization':
        if (authorization !== undefined)
          return malformed('the request has more than one Authorization field');
        authorization = value;
        break;
      case 'content-length':
        if (length !== undefined) return malformed('the request has more than one Content-Length field');
        length = value;
        break;
      case 'transfer-encoding':
        if (coding !== undefined) return malformed('the request has more than one Transfer-Encoding field');
        coding = value;
        break;
      case 'expect':
        if (expect !== undefined) return malformed('the request has more than one Expect field');
        expect = value;
        break;
      case 'connection':
        connection ??= [];
        for (const option of value.split(',')) {
          const trimmed = option.replace(OWS, '').toLowerCase();
          if (trimmed !== '') connection.push(trimmed);
        }
        break;
      case 'cookie':
        cookie = cookie === undefined ? value : `${cookie}; ${value}`;
        break;
      case 'content-type':
        contentType = value;
        break;
      default:
        if (name.includes('_') && INIMITABLE.has(name.replaceAll('_', '-'))) {
          return malformed('a field name with underscores can be confused with another field');
        }
    }
  }

  if (version === '2.0') {
    // RFC 9113 §8.2.2: these fields manage HTTP/1.1 connections; an HTTP/2 request with any of them is
    // malformed.
    if (names.some((name) => OF_HTTP1.has(name)))
      return malformed('the request has a header field that HTTP/2 does not allow');
    const te = names.indexOf('te');
    if (te !== -1 && regular[te * 2 + 1] !== 'trailers') return malformed('the TE field is malformed');
    const authority = pseudoField(raw, ':authority');
    // RFC 9113 §8.3.1: the two must not differ. Otherwise a client could choose which host the rule sees and
    // which host the upstream sees.
    if (authority !== undefined && host !== undefined && authority.toLowerCase() !== host.toLowerCase())
      return malformed('the request names two hosts');
    host = authority ?? host;
  }
  let contentLength: number | undefined;
  if (length !== undefined) {
    // RFC 9112 §6.3: only digits; at most 15, because a JavaScript number holds those exactly.
    if (!/^[0-9]{1,15}$/.test(length)) return malformed('the Content-Length is malformed');
    contentLength = Number(length);
  }
  if (coding !== undefined) {
    // RFC 9112 §6.1: Transfer-Encoding is invalid in HTTP/1.0, and together with Content-Length it may be
    // request smuggling.
    if (version !== '1.1') return malformed('Transfer-Encoding is not defined for this HTTP version');
    if (length !== undefined) return malformed('the request has Transfer-Encoding and Content-Length');
    if (coding.replace(OWS, '').toLowerCase() !== 'chunked') {
      return malformed('the only transfer coding served is "chunked"');
    }
  }
  let expectsContinue = false;
  if (expect !== undefined && version !== '1.0') {
    if (expect.replace(OWS, '').toLowerCase() !== '100-continue') {
      return { refused: 'the only expectation served is "100-continue"', error: 'expectation_failed' };
    }
    expectsContinue = true;
  }
  return {
    raw: regular,
    names,
    host,
    authorization,
    cookie,
    contentType,
    contentLength,
    chunked: coding !== undefined,
    connection,
    expectsContinue,
    version,
  };
}

/** Whether the request has a body. */
export function hasBody({ chunked, contentLength }: Fields): boolean {
  return chunked || (contentLength ?? 0) > 0;
}

/**
 * The value of a field that may occur at most once.
 *
 * @param name in lower case
 * @returns its value; undefined if absent, null if the request has the field more than once
 */
export function singleField(fields: Fields, name: string): string | null | undefined {
  const at = fields.names.indexOf(name);
  if (at === -1) return undefined;
  return fields.names.includes(name, at + 1) ? null : (fields.raw[at * 2 + 1] as string);
}

/**
 * The values of all fields of one name, in the order in which they were sent.
 *
 * @param raw name, value, name, value … as received
 * @param name in any case
 */
export function fieldValues(raw: readonly string[], name: string): string[] {
  const lower = name.toLowerCase();
  const values: string[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    if (lowerName(raw[i] as string) === lower) values.push(raw[i + 1] as string);
  }
  return values;
}

/** The elements of a list in a field (RFC 9110 §5.6.1) whose case has no meaning, in lower case. */
export function fieldList(value: string): string[] {
  return value.split(',').map((element) => element.trim().toLowerCase());
}

/** Fields that manage an HTTP/1.1 connection. */
const OF_HTTP1 = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade']);

/**
 * Removes the pseudo fields, which HTTP/2 has in place of the request line. They come before all other fields
 * (RFC 9113 §8.3).
 */
function withoutPseudoFields(raw: readonly string[]): readonly string[] {
  let first = 0;
  while (first < raw.length && (raw[first] as string).startsWith(':')) first += 2;
  return raw.slice(first);
}

/**
 * The value of an HTTP/2 pseudo field.
 *
 * @param raw all fields as received
 */
export function pseudoField(raw: readonly string[], name: string): string | undefined {
  for (let i = 0; i < raw.length && (raw[i] as string).startsWith(':'); i += 2) {
    if (raw[i] === name) return raw[i + 1];
  }
  return undefined;
}

function malformed(refused: string): FieldsRefusal {
  return { refused, error: 'malformed_request' };
}
