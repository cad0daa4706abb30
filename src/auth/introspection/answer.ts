import type { Answer, InactiveAnswer } from '../../model/introspection.js';
import { InvalidAnswer } from './errors.js';

const INACTIVE: InactiveAnswer = { active: false };

/**
 * Reads an introspection response's body. Liberal in shapes (`scope` or `scp`, text or list; `aud` text or list),
 * strict in meaning: `active` must be exactly `true` or `false`, times must be numbers.
 *
 * A member that is null is absent, whichever it is. Of duplicate JSON members the last one counts, as in every `JSON.parse`; a leading byte order mark is refused
 * (RFC 8259 §8.1).
 *
 * @param body the body's text
 * @throws InvalidAnswer when it is not a JSON object with those meanings; the message holds nothing of the body
 */
export function readAnswer(body: string): Answer {
  let claims: unknown;
  try {
    claims = JSON.parse(body);
  } catch {
    // The parser's message quotes the body.
    throw new InvalidAnswer('the introspection answer is not JSON');
  }
  return readClaims(claims);
}

/**
 * The same, of what was parsed already.
 *
 * @throws InvalidAnswer when it is not a JSON object with those meanings
 */
export function readClaims(given: unknown): Answer {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new InvalidAnswer('the introspection answer is not a JSON object');
  }
  const claims = withoutNulls(given);
  // Own members only: `{"__proto__":{"active":true}}` says nothing of `active`.
  const own = (name: string): unknown =>
    Object.hasOwn(claims, name) ? (claims as Record<string, unknown>)[name] : undefined;
  const active = own('active');
  if (active === false) return INACTIVE;
  if (active !== true) throw new InvalidAnswer('the introspection answer has no boolean "active"');

  const expiresAt = time(own('exp'), 'exp');
  const notBefore = time(own('nbf'), 'nbf');
  const issuer = text(own('iss'), 'iss');
  const subject = text(own('sub'), 'sub');
  const clientId = text(own('client_id'), 'client_id');
  const scope = own('scope') ?? own('scp');
  // One shape for all: an object that grows field by field takes more.
  return {
    active: true,
    claims: claims as Record<string, unknown>,
    scopes: typeof scope === 'string' ? scopesOf(scope) : list(scope, 'scope'),
    audience: list(own('aud'), 'aud'),
    expiresAt,
    notBefore,
    issuer,
    subject,
    clientId,
  };
}

/** Servers that write all members that they know write null for what a token does not have: it is absent. */
function withoutNulls(claims: object): object {
  if (!Object.values(claims).includes(null)) return claims;
  return Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== null));
}

/** The lists of scopes seen lately: many tokens have the same ones, and cached answers share them. */
const scopeLists = new Map<string, readonly string[]>();
/** A map that is full begins anew. */
const MAX_LISTS = 1_000;
/** Longer ones are not kept, so that the map stays small. */
const MAX_SCOPE = 1_000;

function scopesOf(scope: string): readonly string[] {
  let scopes = scopeLists.get(scope);
  if (scopes === undefined) {
    scopes = scope.split(' ').filter((item) => item !== '');
    if (scopeLists.size >= MAX_LISTS) scopeLists.clear();
    if (scope.length <= MAX_SCOPE) scopeLists.set(scope, scopes);
  }
  return scopes;
}

/** A NumericDate (RFC 7519 §2): a finite number, not a text that looks like one. */
function time(value: unknown, name: string): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    throw new InvalidAnswer(`the introspection answer's "${name}" is not a number`);
  }
  return value;
}

function text(value: unknown, name: string): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'string') throw new InvalidAnswer(`the introspection answer's "${name}" is not text`);
  return value;
}

const NONE: readonly string[] = [];

/** Text or a list of texts. Empty items are none (RFC 7662 §2.2). */
function list(value: unknown, name: string): readonly string[] {
  if (value === undefined || value === null) return NONE;
  const items = typeof value === 'string' ? [value] : value;
  if (Array.isArray(items) && items.every((item) => typeof item === 'string')) {
    // As it is, mostly: a filter's result has room for more, for as long as it is cached.
    return items.includes('') ? items.filter((item) => item !== '') : items;
  }
  throw new InvalidAnswer(`the introspection answer's "${name}" is neither text nor a list of texts`);
}
