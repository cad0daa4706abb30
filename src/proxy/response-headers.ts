import { HOP_BY_HOP, JOINED, NEVER_A_TRAILER, SINGLE_VALUE } from './hop-by-hop.js';
import type { ResponseHead } from './upstream/response-head.js';

/** An upstream's header fields, ready for the client: name, value, name, value … */
export interface ClientFields {
  readonly fields: string[];
  /** Trailer fields the upstream announced and the client may be told of. */
  readonly trailers: readonly string[];
  /** The body's length in bytes, where it is known before its end. */
  readonly length: number | undefined;
}

/** What the gateway itself has to say in an upstream's answer. */
export interface Overlay {
  /** Its own CORS fields, which replace the upstream's; undefined leaves those alone. */
  readonly cors?: readonly string[] | undefined;
  /** Keeps the answer out of shared caches, whatever the upstream says (RFC 6750 §2.3). */
  readonly isPrivate?: boolean;
  /** `DPoP-Nonce` in place of the upstream's; nobody may store such an answer (RFC 9449 §8). */
  readonly nonce?: string | undefined;
}

/**
 * Cleans an upstream's header fields: nothing of its connection crosses the gateway, repeated fields stay repeated
 * and in order (`Set-Cookie` is never joined, RFC 9110 §5.3). Of a field that an answer holds once, the first counts,
 * as at nginx.
 *
 * What frames the body is the gateway's own: Content-Length is written from what was read of it, whatever the upstream
 * names in Connection. A 304 has none, because what it may state is not what follows, and a 205 has no body
 * (RFC 9110 §15.3.6).
 */
export function responseFields(
  { status, fields: raw, names, length: stated }: ResponseHead,
  { cors, isPrivate = false, nonce }: Overlay = {},
): ClientFields {
  const fields: string[] = [];
  let listed: string[] | undefined;
  let announced: string | undefined;
  let stored = true;
  const length = status === 205 ? 0 : status === 304 || status === 204 ? undefined : stated;
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
  // Without chunks there is no place for trailers, and Node throws where they are announced all the same.
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
 * The trailer fields that may follow a body: those that were announced, and never one that frames, routes or
 * authenticates (RFC 9110 §6.5.1).
 */
export function trailerFields(raw: readonly string[], announced: readonly string[]): [string, string][] {
  const trailers: [string, string][] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] as string;
    if (announced.includes(name.toLowerCase())) trailers.push([name, raw[i + 1] as string]);
  }
  return trailers;
}

/** Every field by which an answer speaks of CORS begins so. */
const CORS_PREFIX = 'access-control-';

const NO_TRAILERS: readonly string[] = [];

function options(value: string): string[] {
  if (value === 'keep-alive' || value === 'close') return [value];
  return value.split(',').map((option) => option.trim().toLowerCase());
}

/** Options that name no field of the answer: hop-by-hop fields are gone already. */
function isPlain(option: string): boolean {
  return option === 'keep-alive' || option === 'close';
}

/** Adds another value to the field of that name, unless it has it. */
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
