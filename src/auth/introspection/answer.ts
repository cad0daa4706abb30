import type { Answer, InactiveAnswer } from '../../model/introspection.js';
import { InvalidAnswer } from './errors.js';

const INACTIVE: InactiveAnswer = { active: false };

/**
 * Reads the body of an introspection response. It accepts several shapes (`scope` or `scp`, text or list;
 * `aud` text or list) and is strict about meaning: `active` must be exactly `true` or `false`, times must be
 * numbers.
 *
 * A member that is null counts as absent. If a JSON member occurs twice, the last one counts, as in every
 * `JSON.parse`. A leading byte order mark is refused (RFC 8259 §8.1).
 *
 * @param body the text of the body
 * @throws InvalidAnswer if it is not a JSON object with these members; the message contains nothing of the body
 */
export function readAnswer(body: string): Answer {
  let claims: unknown;
  try {
    claims = JSON.parse(body);
  } catch {
    // Do not pass the parser's message on: it quotes the body.
    throw new InvalidAnswer('the introspection answer is not JSON');
  }
  return readClaims(claims);
}

/**
 * Like {@link readAnswer}, for a value that is already parsed.
 *
 * @throws InvalidAnswer if it is not a JSON object with these members
 */
export function readClaims(given: unknown): Answer {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new InvalidAnswer('the introspection answer is not a JSON object');
  }
  const claims = withoutNulls(given);
  // Own members only: `{"__proto__":{"active":true}}` must not count as `active`.
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
  // All fields at once: an object that gets its fields one by one takes more memory.
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

/**
 * Removes members that are null. Some servers always write all members, with null for those that a token does
 * not have.
 */
function withoutNulls(claims: object): object {
  if (!Object.values(claims).includes(null)) return claims;
  return Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== null));
}

/**
 * Recent lists of scopes, by their text. Many tokens have the same scopes; their cached answers share one
 * list.
 */
const scopeLists = new Map<string, readonly string[]>();
/** The map is cleared when it has this many entries. */
const MAX_LISTS = 1_000;
/** Longer texts are not kept, so that the map stays small: a list takes ten times the memory of its text. */
const MAX_SCOPE = 300;

function scopesOf(scope: string): readonly string[] {
  let scopes = scopeLists.get(scope);
  if (scopes === undefined) {
    scopes = scope.split(' ').filter((item) => item !== '');
    if (scopeLists.size >= MAX_LISTS) scopeLists.clear();
    if (scope.length <= MAX_SCOPE) scopeLists.set(scope, scopes);
  }
  return scopes;
}

/** Reads a NumericDate (RFC 7519 §2): a finite number. A text with digits is refused. */
function time(value: unknown, name: string): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    throw new InvalidAnswer(`the introspection answer's "${name}" is not a number`);
  }
  return value;
}

function text(value: unknown, name: string): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'string')
    throw new InvalidAnswer(`the introspection answer's "${name}" is not a string`);
  return value;
}

const NONE: readonly string[] = [];

/** Reads a text or a list of texts. Empty items are dropped (RFC 7662 §2.2). */
function list(value: unknown, name: string): readonly string[] {
  if (value === undefined || value === null) return NONE;
  const items = typeof value === 'string' ? [value] : value;
  if (Array.isArray(items) && items.every((item) => typeof item === 'string')) {
    // Return the list itself if possible: the result of `filter` reserves extra memory, for as long as it is
    // cached.
    return items.includes('') ? items.filter((item) => item !== '') : items;
  }
  throw new InvalidAnswer(`the introspection answer's "${name}" is neither a string nor a list of strings`);
}
