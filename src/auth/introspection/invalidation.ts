import type { ActiveAnswer } from '../../model/introspection.js';
import type { Fields } from '../../parse/fields.js';
import { MAX_FORM_BYTES } from '../../parse/form.js';

/** Which answers to invalidate. */
export type Invalidation =
  | 'all'
  | { readonly token: string }
  /** The answers about all tokens of a subject, a client or a session. */
  | { readonly claim: 'sub' | 'client_id' | 'sid'; readonly value: string };

/** An invalidation with its time, in milliseconds since 1970. */
export interface Purge {
  readonly which: Invalidation;
  readonly at: number;
}

/** How much the clocks of gateways may differ, in milliseconds. */
export const SKEW = 2_000;
/** The most purges that are remembered one by one. If an older one is dropped, it counts for every answer. */
const MOST = 100_000;
/** The claims that a purge can name. */
const CLAIMS = ['sub', 'client_id', 'sid'] as const;

/**
 * Remembers recent purges, so that scopegate does not use an older answer that another gateway has stored
 * meanwhile, or that a replica of the store still has.
 */
export class PurgeLog {
  readonly #life: number;
  readonly #most: number;
  /** The time of each purge by what it purges, the oldest first. */
  readonly #marks = new Map<string, number>();
  /** Answers up to this time are all purged. */
  #all = Number.NEGATIVE_INFINITY;

  /**
   * @param life milliseconds after which no older answer can exist
   * @param most the most purges that are remembered one by one
   */
  constructor(life: number, most = MOST) {
    this.#life = life + SKEW;
    this.#most = most;
  }

  /** The number of purges that are remembered one by one. */
  get size(): number {
    return this.#marks.size;
  }

  /**
   * Remembers a purge.
   *
   * @param keys the cache keys of the token, if it is about one token
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

  /**
   * Purges every answer up to this time.
   *
   * @param at milliseconds since 1970
   */
  before(at: number): void {
    this.#all = Math.max(this.#all, at);
  }

  /**
   * Whether a purge covers an answer, so that it must not be used.
   *
   * @param key the cache key of its endpoint and token
   * @param asked when the authorization server was asked, in milliseconds since 1970
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

/** A revocation request (RFC 7009 §2.1): the token, and the client that revokes it. */
interface Form {
  readonly token: string;
  readonly hint: string | undefined;
  readonly clientId: string | undefined;
}

/**
 * Reads a copy of a token revocation (RFC 7009) while scopegate forwards it to the authorization server. If
 * the revocation succeeds, cached answers about the token are no longer valid. The forwarded request is not
 * changed.
 */
export class Revocation {
  readonly #fields: Fields;
  readonly #pieces: Buffer[] = [];
  #bytes = 0;

  constructor(fields: Fields) {
    this.#fields = fields;
  }

  /** Receives each piece of the body. */
  readonly watch = (piece: Buffer): void => {
    this.#bytes += piece.length;
    if (this.#bytes <= MAX_FORM_BYTES) this.#pieces.push(piece);
  };

  /**
   * Invalidates answers after the revocation has succeeded: those about the token. If none is cached, the
   * token may be a refresh token, whose access tokens end with it (RFC 7009 §2.1): then those about all
   * tokens of the client. If the token or the client is not known: all answers.
   *
   * @param forget invalidates answers and returns their number
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

/** The client id in Basic credentials. It is form-encoded (RFC 6749 §2.3.1). */
function basicUser(authorization: string | undefined): string | undefined {
  const encoded = BASIC.exec(authorization ?? '')?.[1];
  if (encoded === undefined) return undefined;
  const [user = ''] = Buffer.from(encoded, 'base64').toString().split(':', 1);
  return new URLSearchParams(`u=${user}`).get('u') ?? undefined;
}
