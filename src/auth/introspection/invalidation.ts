import type { ActiveAnswer } from '../../model/introspection.js';
import type { Fields } from '../../parse/fields.js';
import { MAX_FORM_BYTES } from '../../parse/form.js';

/** Whose answers are to be forgotten. */
export type Invalidation =
  | 'all'
  | { readonly token: string }
  /** All tokens of a subject, a client or a session. */
  | { readonly claim: 'sub' | 'client_id' | 'sid'; readonly value: string };

/** What was purged, and when: milliseconds since 1970. */
export interface Purge {
  readonly which: Invalidation;
  readonly at: number;
}

/** How far the clocks of gateways may be apart, in milliseconds. */
export const SKEW = 2_000;
/** Purges remembered. Older ones count for every answer. */
const MOST = 100_000;
/** The claims by which can be purged. */
const CLAIMS = ['sub', 'client_id', 'sid'] as const;

/**
 * Remembers what was purged lately, so that an answer of before that is not taken from where another gateway has put it
 * meanwhile, or a replica of the store has kept it.
 */
export class PurgeLog {
  readonly #life: number;
  readonly #most: number;
  /** When by what: the oldest first. */
  readonly #marks = new Map<string, number>();
  /** Up to then everything is purged. */
  #all = Number.NEGATIVE_INFINITY;

  /** @param life milliseconds after which no answer of before is left */
  constructor(life: number, most = MOST) {
    this.#life = life + SKEW;
    this.#most = most;
  }

  /** Purges remembered one by one. */
  get size(): number {
    return this.#marks.size;
  }

  /**
   * Remembers one.
   *
   * @param keys of the token, where it is one
   * @param now milliseconds since 1970
   */
  add({ which, at }: Purge, keys: readonly string[], now: number): void {
    if (which === 'all') this.before(at);
    else if ('claim' in which) this.#mark(`${which.claim} ${which.value}`, at);
    else for (const key of keys) this.#mark(key, at);
    for (const [name, then] of this.#marks) {
      const full = this.#marks.size > this.#most;
      if (!full && then + this.#life >= now) return;
      this.#marks.delete(name);
      if (full) this.before(then);
    }
  }

  /** Everything of before that time is purged. */
  before(at: number): void {
    this.#all = Math.max(this.#all, at);
  }

  /**
   * Whether an answer is no longer good.
   *
   * @param key of its endpoint and token
   * @param asked when the authorization server was asked for it, in milliseconds since 1970
   */
  covers(key: string, claims: ActiveAnswer['claims'], asked: number): boolean {
    const from = asked - SKEW;
    if (from <= this.#all || this.#since(key, from)) return true;
    return CLAIMS.some((claim) => {
      const value = claims[claim];
      return typeof value === 'string' && this.#since(`${claim} ${value}`, from);
    });
  }

  #since(name: string, from: number): boolean {
    const at = this.#marks.get(name);
    return at !== undefined && from <= at;
  }

  #mark(name: string, at: number): void {
    const before = this.#marks.get(name) ?? at;
    this.#marks.delete(name);
    this.#marks.set(name, Math.max(at, before));
  }
}

const FORM = /^application\/x-www-form-urlencoded[ \t]*(?:;|$)/i;
const BASIC = /^Basic +([A-Za-z0-9+/]+=*) *$/i;

/** What a form says of the token to revoke (RFC 7009 §2.1), and who sent it. */
interface Form {
  readonly token: string;
  readonly hint: string | undefined;
  readonly clientId: string | undefined;
}

/**
 * Reads a token revocation (RFC 7009) along as it passes to the authorization server, whose success means that what is
 * cached about the token no longer holds. Reading it along changes nothing about it.
 */
export class Revocation {
  readonly #fields: Fields;
  readonly #pieces: Buffer[] = [];
  #bytes = 0;

  constructor(fields: Fields) {
    this.#fields = fields;
  }

  /** Told of each piece of the body. */
  readonly watch = (piece: Buffer): void => {
    this.#bytes += piece.length;
    if (this.#bytes <= MAX_FORM_BYTES) this.#pieces.push(piece);
  };

  /**
   * Forgets what the revocation has ended, once it has succeeded: the answers about the token; about all tokens of the
   * client where none is known of this one, because it may be the refresh token with which they go (RFC 7009 §2.1); or
   * all, where it cannot be said which.
   *
   * @param forget returns how many answers it has forgotten
   */
  apply(forget: (which: Invalidation) => number): void {
    const form = this.#read();
    if (form === undefined) {
      forget('all');
      return;
    }
    const { token, hint, clientId } = form;
    if (forget({ token }) > 0 || hint === 'access_token') return;
    forget(clientId === undefined ? 'all' : { claim: 'client_id', value: clientId });
  }

  #read(): Form | undefined {
    const { authorization, contentType } = this.#fields;
    if (this.#bytes > MAX_FORM_BYTES || contentType === undefined || !FORM.test(contentType))
      return undefined;
    const form = new URLSearchParams(Buffer.concat(this.#pieces).toString());
    const [token, ...more] = form.getAll('token');
    if (token === undefined || more.length > 0) return undefined;
    return {
      token,
      hint: form.get('token_type_hint') ?? undefined,
      clientId: basicUser(authorization) ?? form.get('client_id') ?? undefined,
    };
  }
}

/** The client's identifier in Basic credentials, which are form-encoded (RFC 6749 §2.3.1). */
function basicUser(authorization: string | undefined): string | undefined {
  const encoded = BASIC.exec(authorization ?? '')?.[1];
  if (encoded === undefined) return undefined;
  const [user = ''] = Buffer.from(encoded, 'base64').toString().split(':', 1);
  return new URLSearchParams(`u=${user}`).get('u') ?? undefined;
}
