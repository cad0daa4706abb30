import type { ClientAuth } from './client-auth.js';
import type { DecryptionKey } from './encrypted-answer.js';
import { InvalidAnswer } from './unusable.js';

/** An authorization server's introspection endpoint (RFC 7662 §2), as a rule or the settings name it. */
export interface Endpoint {
  readonly url: string;
  /** Fixed header fields sent with the call (`introspection_request_headers`). */
  readonly headers: Readonly<Record<string, string>>;
  /** How the gateway identifies itself there. */
  readonly auth: ClientAuth;
  /** Which server of the settings it is, by the URL there: what the gateway trusts and shows is for it alone. */
  readonly server?: string;
  /** The server's issuer identifier, by which rules may name it as well. */
  readonly issuer?: string;
  /** `url` is the issuer: its metadata says where the endpoint is (RFC 8414). */
  readonly discovered?: true;
  /** Undefined takes plain JSON (RFC 7662 §2.2). */
  readonly signed?: SignedAnswers;
}

/** Whose signature an introspection answer must have, and for whom it must be (RFC 9701). */
export interface SignedAnswers {
  readonly issuer: string;
  /** The server's keys; undefined: where its metadata says. */
  readonly jwksUrl?: string;
  /** The gateway, as the server knows it. */
  readonly audience: string;
  readonly algorithms: readonly string[];
  /** Present: answers must be encrypted for one of these keys, read at each use. */
  readonly decryption?: () => readonly DecryptionKey[];
}

/** The authorization server's answer about a token, as it was given (RFC 7662 §2.2). */
export type Answer = InactiveAnswer | ActiveAnswer;

/** `{"active": false}`; any other member is meaningless (RFC 7662 §2.2). */
export interface InactiveAnswer {
  readonly active: false;
}

/** An active token's metadata: shapes unified, meaning untouched. */
export interface ActiveAnswer {
  readonly active: true;
  /** Every member as it came, but those that are null. */
  readonly claims: Readonly<Record<string, unknown>>;
  readonly scopes: readonly string[];
  readonly audience: readonly string[];
  /** `exp`, seconds since 1970. */
  readonly expiresAt?: number | undefined;
  /** `nbf`, seconds since 1970. */
  readonly notBefore?: number | undefined;
  readonly issuer?: string | undefined;
  readonly subject?: string | undefined;
  readonly clientId?: string | undefined;
}

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
