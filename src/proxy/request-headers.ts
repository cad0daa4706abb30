import type { HeaderMutations, HeaderRemoval } from '../model/mutator.js';
import { type Fields, singleField } from '../parse/fields.js';
import { forwardedScheme } from '../parse/forwarded-scheme.js';
import { TOKEN } from '../parse/grammar.js';
import type { Peer } from '../parse/peer.js';
import { cookieField } from './cookie-header.js';
import { HOP_BY_HOP } from './hop-by-hop.js';
import type { IdentityFilter } from './identity-headers.js';

/** What scopegate tells the upstream about a request. */
export interface UpstreamHeaderContext {
  readonly peer: Peer;
  /** Decides which fields only scopegate may set. */
  readonly identity: IdentityFilter;
  /** The Host field to send. */
  readonly host: string;
  readonly requestId: string;
  /** The fields that replace the client's trace context: name, value, …; undefined keeps the client's. */
  readonly trace?: readonly string[] | undefined;
  /** The name of this gateway in Via. */
  readonly via: string;
  /** The HTTP version of the request, such as `1.1`. */
  readonly version: string;
  /** Fields and cookies that mutators set on any rule; the client's copies are always removed. */
  readonly reservedHeaders?: HeaderRemoval | undefined;
  /** Fields and cookies of the client that are also removed from this request. */
  readonly removal?: HeaderRemoval | undefined;
  /** The changes by the mutators of this request's rule. */
  readonly mutations?: HeaderMutations | undefined;
  /** The value of Max-Forwards after this hop, if the method uses the field (RFC 9110 §7.6.2). */
  readonly maxForwards?: number | undefined;
}

/**
 * Fields that Connection cannot remove (RFC 9110 §7.6.1). A client, or a proxy before scopegate, must not be
 * able to remove fields that the decision is based on or that say how the body must be read.
 */
const END_TO_END: ReadonlySet<string> = new Set([
  'authorization',
  'cache-control',
  'content-encoding',
  'content-range',
  'content-type',
  'cookie',
]);

/**
 * Fields in which a trusted proxy states the port and the prefix that the client used. scopegate forwards
 * them unchanged from a trusted proxy and removes them from any other peer.
 */
const OF_PROXIES: ReadonlySet<string> = new Set(['x-forwarded-port', 'x-forwarded-prefix']);

/** The most hops in Via. Legitimate chains of proxies are shorter. */
const MAX_HOPS = 32;

/** Header fields for the upstream; undefined if the request is in a loop. */
export type UpstreamFields = string[] | undefined;

/**
 * Builds the header fields for the upstream: name, value, name, value …, in the order of the request. It
 * removes the connection's fields (RFC 9110 §7.6.1) and the client's copies of the fields that scopegate
 * sets. Then it adds scopegate's own fields. They are added after the removal, so that `Connection:
 * x-forwarded-for` cannot remove them (CVE-2026-33805).
 *
 * @returns undefined if Via shows a loop (RFC 9110 §7.6.3)
 */
export function requestFields(fields: Fields, context: UpstreamHeaderContext): UpstreamFields {
  const { raw, names, connection } = fields;
  const {
    peer,
    identity,
    host,
    requestId,
    via,
    version,
    maxForwards,
    reservedHeaders,
    removal,
    mutations,
    trace,
  } = context;
  const believed = peer.trusted;
  const cookies = cookiesOf(reservedHeaders, removal, mutations);
  // An HTTP/2 client may split Cookie to compress it better; other versions need a single field (RFC 9113
  // §8.2.3).
  const gathered = cookies || version === '2.0';
  let cookie = '';
  const sent: string[] = ['host', host];
  let hops = '';
  let forwardedFor: string | undefined;
  let forwarded: string | undefined;
  let forwardedHost: string | undefined;

  for (let i = 0; i < names.length; i++) {
    const name = names[i] as string;
    const value = raw[i * 2 + 1] as string;
    switch (name) {
      case 'max-forwards':
        sent.push(name, maxForwards === undefined ? value : String(maxForwards));
        continue;
      case 'host':
      case 'expect':
      case 'content-length':
      case 'x-forwarded-proto':
      case 'x-request-id':
        continue;
      case 'via':
        hops = hops === '' ? value : `${hops}, ${value}`;
        continue;
      case 'x-forwarded-for':
        forwardedFor = forwardedFor === undefined ? value : `${forwardedFor}, ${value}`;
        continue;
      case 'forwarded':
        forwarded = forwarded === undefined ? value : `${forwarded}, ${value}`;
        continue;
      case 'x-forwarded-host':
        forwardedHost = value;
        continue;
    }
    const { plain, removed } = identity.judge(name);
    if (HOP_BY_HOP.has(plain)) continue;
    if (removed && !(believed && OF_PROXIES.has(name))) continue;
    if (connection?.includes(name) === true && !END_TO_END.has(name)) continue;
    if (reservedHeaders?.headers.has(plain) === true || mutations?.replaced.headers.has(plain) === true)
      continue;
    if (removal?.headers.has(plain) === true) continue;
    if (trace !== undefined && (name === 'traceparent' || name === 'tracestate')) continue;
    if (gathered && name === 'cookie') {
      cookie = cookie === '' ? value : `${cookie}; ${value}`;
      continue;
    }
    sent.push(name, value);
  }
  if (cookies)
    cookie = cookieField(cookie, [reservedHeaders, removal, mutations?.replaced], mutations?.cookies ?? []);
  if (cookie !== '') sent.push('cookie', cookie);
  for (const [name, value] of mutations?.headers ?? []) sent.push(name, value);

  if (hops !== '') {
    const entries = hops.split(',');
    if (entries.length > MAX_HOPS || entries.some((entry) => entry.trim().split(/[ \t]+/)[1] === via))
      return undefined;
  }

  const scheme = peer.secure ? 'https' : 'http';
  const asked = fields.host ?? '';
  const element = `for=${node(peer.address)};host=${quoted(asked)};proto=${scheme}`;
  sent.push(
    'x-forwarded-for',
    believed && forwardedFor !== undefined ? `${forwardedFor}, ${peer.address}` : peer.address,
    'x-forwarded-proto',
    (believed ? forwardedScheme(fields) : undefined) ?? scheme,
    'x-forwarded-host',
    believed && forwardedHost !== undefined ? forwardedHost : asked,
    'forwarded',
    believed && forwarded !== undefined ? `${forwarded}, ${element}` : element,
    'via',
    hops === '' ? `${version} ${via}` : `${hops}, ${version} ${via}`,
    'x-request-id',
    requestId,
  );
  if (trace !== undefined) sent.push(...trace);
  return sent;
}

/** Whether cookies must be changed. Otherwise they are forwarded unchanged. */
function cookiesOf(
  reservedHeaders: HeaderRemoval | undefined,
  removal: HeaderRemoval | undefined,
  mutations: HeaderMutations | undefined,
): boolean {
  return (
    (reservedHeaders?.cookies.size ?? 0) +
      (removal?.cookies.size ?? 0) +
      (mutations?.replaced.cookies.size ?? 0) >
    0
  );
}

/**
 * How often an OPTIONS request may still be forwarded (RFC 9110 §7.6.2); undefined if Max-Forwards is absent,
 * repeated, or not a number. For other methods the field is forwarded unchanged.
 */
export function forwardsLeft(method: string | undefined, fields: Fields): number | undefined {
  if (method !== 'OPTIONS') return undefined;
  const value = singleField(fields, 'max-forwards');
  return typeof value === 'string' && /^[0-9]{1,9}$/.test(value) ? Number(value) : undefined;
}

/** RFC 7239 §6: an IPv6 address is written in brackets and quotes. */
function node(address: string): string {
  if (address === '') return 'unknown';
  return address.includes(':') ? `"[${address}]"` : address;
}

/** RFC 7239 §4: a value that is not a token is quoted. */
function quoted(value: string): string {
  return TOKEN.test(value) ? value : `"${value.replace(/["\\]/g, '\\$&')}"`;
}
