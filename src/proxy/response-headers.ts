import { RESET_CONTENT } from '../model/statuses.js';
import { fieldList } from '../parse/fields.js';
import { HOP_BY_HOP, JOINED, NEVER_A_TRAILER, SINGLE_VALUE } from './hop-by-hop.js';
import type { ResponseHead } from './upstream/response-head.js';

/** An upstream's header fields, ready for the client: name, value, name, value … */
export interface ClientFields {
  readonly fields: string[];
  /** Trailer fields that the upstream announced and that may be forwarded to the client. */
  readonly trailers: readonly string[];
  /** The length of the body in bytes, if it is known in advance. */
  readonly length: number | undefined;
}

/** The fields that scopegate itself sets in an upstream's response. */
export interface Overlay {
  /** scopegate's CORS fields, which replace the upstream's; undefined keeps the upstream's. */
  readonly cors?: readonly string[] | undefined;
  /** Keeps the response out of shared caches, whatever the upstream says (RFC 6750 §2.3). */
  readonly isPrivate?: boolean;
  /** The `DPoP-Nonce` that replaces the upstream's. No cache may store such a response (RFC 9449 §8). */
  readonly nonce?: string | undefined;
}

/**
 * Builds the client's header fields from the upstream's. Hop-by-hop fields are removed. Repeated fields stay
 * repeated and in order (`Set-Cookie` is never joined, RFC 9110 §5.3). Of a field that a response must have
 * only once, the first is used, as nginx does.
 *
 * scopegate frames the body itself: it writes Content-Length from the value it has parsed, even if the
 * upstream lists that field in Connection. A 304 gets no Content-Length, because the value would not be the
 * length of what follows. A 205 has no body (RFC 9110 §15.3.6).
 */
export function responseFields(
  {
    status,
    fields: raw,
    names,
    length: stated,
  }: Pick<ResponseHead, 'status' | 'fields' | 'names' | 'length'>,
  { cors, isPrivate = false, nonce }: Overlay = {},
): ClientFields {
  const fields: string[] = [];
  let listed: string[] | undefined;
  let announced: string | undefined;
  let stored = true;
  const length = status === RESET_CONTENT ? 0 : status === 304 || status === 204 ? undefined : stated;
  for (let i = 0; i < names.length; i++) {
    const lower = names[i] as string;
    const value = raw[i * 2 + 1] as string;
    if (HOP_BY_HOP.has(lower)) {
      if (lower === 'connection')
        listed = listed === undefined ? options(value) : [...listed, ...options(value)];
      else if (lower === 'trailer') announced = announced === undefined ? value : `${announced},${value}`;
      continue;
    }
    if (cors !== undefined && lower.startsWith(CORS_PREFIX)) continue;
    if (nonce !== undefined && (lower === 'dpop-nonce' || lower === 'cache-control')) continue;
    if (isPrivate && lower === 'cache-control') {
      if (/no-store/i.test(value)) stored = false;
      continue;
    }
    if (lower === 'content-length') continue;
    if (SINGLE_VALUE.has(lower) && names.indexOf(lower) !== i) {
      if (JOINED.has(lower)) join(fields, lower, value);
      continue;
    }
    fields.push(raw[i * 2] as string, value);
  }
  // Without chunked coding there can be no trailers, and Node throws if they are announced.
  const trailers =
    announced === undefined || length !== undefined
      ? NO_TRAILERS
      : options(announced).filter((name) => !NEVER_A_TRAILER.has(name));
  const kept = listed === undefined || listed.every(isPlain) ? fields : without(fields, listed);
  if (length !== undefined) kept.push('content-length', String(length));
  if (cors !== undefined) kept.push(...cors);
  if (nonce !== undefined) kept.push('dpop-nonce', nonce, 'cache-control', 'no-store');
  else if (isPrivate) kept.push('cache-control', stored ? 'private' : 'private, no-store');
  return { fields: kept, trailers, length };
}

/**
 * The trailer fields that are sent after a body: the announced ones, except fields that frame, route or
 * authenticate (RFC 9110 §6.5.1).
 */
export function trailerFields(raw: readonly string[], announced: readonly string[]): [string, string][] {
  const trailers: [string, string][] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] as string;
    if (announced.includes(name.toLowerCase())) trailers.push([name, raw[i + 1] as string]);
  }
  return trailers;
}

/** The prefix of all CORS response fields. */
const CORS_PREFIX = 'access-control-';

const NO_TRAILERS: readonly string[] = [];

function options(value: string): string[] {
  if (value === 'keep-alive' || value === 'close') return [value];
  return fieldList(value);
}

/** Connection options that are not names of fields to remove: hop-by-hop fields are removed already. */
function isPlain(option: string): boolean {
  return option === 'keep-alive' || option === 'close';
}

/** Appends a value to the field of that name, unless the field has that value already. */
function join(fields: string[], lower: string, value: string): void {
  const at = fields.findIndex((name, i) => i % 2 === 0 && name.toLowerCase() === lower) + 1;
  if (at > 0 && fields[at] !== value) fields[at] = `${fields[at]}, ${value}`;
}

function without(fields: readonly string[], listed: readonly string[]): string[] {
  const kept: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    if (!listed.includes(name.toLowerCase())) kept.push(name, fields[i + 1] as string);
  }
  return kept;
}
