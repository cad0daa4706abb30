import type { HeaderMutations, HeaderRemoval } from '../model/mutator.js';
import { type Fields, singleField } from '../parse/fields.js';
import { forwardedScheme } from '../parse/forwarded-scheme.js';
import { TOKEN } from '../parse/grammar.js';
import type { Peer } from '../parse/peer.js';
import { cookieField } from './cookie-header.js';
import { HOP_BY_HOP } from './hop-by-hop.js';
import type { IdentityFilter } from './identity-headers.js';

/** What the gateway states to the upstream about a request it forwards. */
export interface UpstreamHeaderContext {
  readonly peer: Peer;
  /** Which fields only the gateway may state. */
  readonly identity: IdentityFilter;
  /** The Host field to send. */
  readonly host: string;
  readonly requestId: string;
  /** The fields that take the place of the client's trace context: name, value, …; undefined leaves that alone. */
  readonly trace?: readonly string[] | undefined;
  /** The gateway's own name in Via. */
  readonly via: string;
  /** The version the request came in, such as `1.1`. */
  readonly version: string;
  /** What mutators write on any rule: the client's copies never pass. */
  readonly reservedHeaders?: HeaderRemoval | undefined;
  /** What else of the client's stays behind, for this request. */
  readonly removal?: HeaderRemoval | undefined;
  /** What the mutators of this request's rule made of it. */
  readonly mutations?: HeaderMutations | undefined;
  /** What Max-Forwards has left after this hop, where the method makes it count (RFC 9110 §7.6.2). */
  readonly maxForwards?: number | undefined;
}

/**
 * Fields for the upstream that Connection may not name (RFC 9110 §7.6.1): a client, or a proxy before it, must not
 * take from the upstream what the decision rests on or what says how the body is to be read.
 */
const END_TO_END: ReadonlySet<string> = new Set([
  'authorization',
  'cache-control',
  'content-encoding',
  'content-range',
  'content-type',
  'cookie',
]);

/** What a trusted proxy says of the port and the prefix that the client saw, and nobody else does, goes on as it came. */
const OF_PROXIES: ReadonlySet<string> = new Set(['x-forwarded-port', 'x-forwarded-prefix']);

/** More hops than any honest chain of proxies has. */
const MAX_HOPS = 32;

/** Header fields towards the upstream, or undefined when the request has gone in a circle. */
export type UpstreamFields = string[] | undefined;

/**
 * Builds the header fields that go upstream: name, value, name, value …, in the order they came, without what
 * belongs to the connection (RFC 9110 §7.6.1), without the client's copies of what the gateway states, and then
 * with the gateway's own statements, set after the removal so that `Connection: x-forwarded-for` cannot strip them
 * (CVE-2026-33805).
 *
 * @returns undefined when Via shows a loop (RFC 9110 §7.6.3)
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
  // HTTP/2 may have split the field to compress it better; elsewhere it is one (RFC 9113 §8.2.3).
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

/** Whether any mutator has to do with cookies; where none has, they go as they came. */
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
 * How often an OPTIONS may still be forwarded (RFC 9110 §7.6.2); undefined where the request does not say so once and
 * in digits. Other methods pass the field on as it is.
 */
export function forwardsLeft(method: string | undefined, fields: Fields): number | undefined {
  if (method !== 'OPTIONS') return undefined;
  const value = singleField(fields, 'max-forwards');
  return typeof value === 'string' && /^[0-9]{1,9}$/.test(value) ? Number(value) : undefined;
}

/** RFC 7239 §6: an IPv6 address is bracketed and quoted. */
function node(address: string): string {
  if (address === '') return 'unknown';
  return address.includes(':') ? `"[${address}]"` : address;
}

/** RFC 7239 §4: a value that is no token is quoted. */
function quoted(value: string): string {
  return TOKEN.test(value) ? value : `"${value.replace(/["\\]/g, '\\$&')}"`;
}
