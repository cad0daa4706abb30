import type { Clock } from '../../model/clock.js';
import type { Allowed } from '../../model/decision.js';
import type { RevocationEffect } from '../../model/introspection.js';
import type { Fields } from '../../parse/fields.js';
import { MAX_FORM_BYTES } from '../../parse/form.js';
import type { Invalidation } from './invalidation.js';
import { multipartFields } from './multipart.js';

/** What a purge of more than one token is about. */
type WidePurge = Exclude<Invalidation, { readonly token: string }>;

/** The shortest time from one purge of a client, or of everything, to the next, in milliseconds. */
const INTERVAL = 1_000;
/** The most clients whose purges are counted one by one. */
const MOST_CLIENTS = 1_000;
/** The most tokens that one form may name. RFC 7009 allows one. */
const MOST_TOKENS = 8;

/**
 * Observes token revocations (RFC 7009) that scopegate forwards to the authorization server. If one succeeds,
 * cached answers about its token are no longer valid.
 *
 * Answers of a whole client, or all answers, are purged at most once a second. Otherwise everybody who can send a
 * revocation that succeeds could turn the cache off for all; at Hydra, any public client's id is enough for that.
 */
export class Revocations {
  readonly #forget: (which: Invalidation) => number;
  readonly #clock: Clock;
  readonly #recent = new Map<string, { at: number; timer: NodeJS.Timeout | undefined; which: WidePurge }>();

  /** @param forget invalidates answers and returns their number */
  constructor(forget: (which: Invalidation) => number, clock: Clock) {
    this.#forget = forget;
    this.#clock = clock;
  }

  /**
   * Begins to observe an allowed request, if it goes to a revocation endpoint.
   *
   * @param query of the request target, with its `?`
   */
  of(decision: Allowed, method: string | undefined, fields: Fields, query: string): Revocation | undefined {
    return decision.rule.revokes === true && method === 'POST'
      ? this.observe(fields, decision.query ?? query)
      : undefined;
  }

  /**
   * Begins to observe one revocation.
   *
   * @param query of the request target, with its `?`
   */
  observe(fields: Fields, query: string): Revocation {
    return new Revocation(fields, query, (which) =>
      which !== 'all' && 'token' in which ? this.#forget(which) > 0 : this.#purge(which),
    );
  }

  /** Purges now what was delayed. */
  flush(): void {
    for (const [name, { timer, which }] of this.#recent) {
      this.#recent.delete(name);
      if (timer === undefined) continue;
      clearTimeout(timer);
      this.#forget(which);
    }
  }

  /** @returns whether it happened at once */
  #purge(which: WidePurge): boolean {
    const now = this.#clock.monotonic();
    const name = which === 'all' ? '' : `${which.claim} ${which.value}`;
    const last = this.#recent.get(name);
    if (last !== undefined && now - last.at < INTERVAL) {
      last.timer ??= setTimeout(() => this.#run(name, which), INTERVAL - (now - last.at)).unref();
      return false;
    }
    for (const [old, { at, timer }] of this.#recent) {
      if (timer === undefined && now - at >= INTERVAL) this.#recent.delete(old);
    }
    if (which !== 'all' && this.#recent.size > MOST_CLIENTS) return this.#purge('all');
    clearTimeout(last?.timer);
    this.#run(name, which);
    return true;
  }

  #run(name: string, which: WidePurge): void {
    this.#recent.set(name, { at: this.#clock.monotonic(), timer: undefined, which });
    this.#forget(which);
  }
}

const FORM =
  /^application\/x-www-form-urlencoded[ \t]*(?:;[ \t]*charset="?(?:utf-8|us-ascii|iso-8859-1)"?[ \t]*)?$/i;
const BASIC = /^Basic +([A-Za-z0-9+/]+=*) *$/i;

/** A revocation request (RFC 7009 §2.1): the token, and the client that revokes it. */
interface Form {
  /** A server takes one of several; which one is not known. */
  readonly tokens: readonly string[];
  readonly hint: string | undefined;
  readonly clientId: string | undefined;
}

/** Reads a copy of one revocation while scopegate forwards it. The forwarded request is not changed. */
export class Revocation {
  readonly #fields: Fields;
  readonly #query: string;
  readonly #forget: (which: Invalidation) => boolean;
  readonly #pieces: Buffer[] = [];
  #bytes = 0;

  /**
   * @param forget invalidates answers. Returns whether there were any about the token, or whether it invalidated
   *   those of the client or all of them at once
   */
  constructor(fields: Fields, query: string, forget: (which: Invalidation) => boolean) {
    this.#fields = fields;
    this.#query = query;
    this.#forget = forget;
  }

  /** Receives each piece of the body. */
  readonly watch = (piece: Buffer): void => {
    this.#bytes += piece.length;
    if (this.#bytes <= MAX_FORM_BYTES) this.#pieces.push(piece);
  };

  /**
   * Invalidates answers if the revocation has succeeded; see {@link apply}.
   *
   * @param status of the authorization server's response; undefined if there was none
   */
  applyAfter(status: number | undefined): RevocationEffect | undefined {
    return status !== undefined && status >= 200 && status < 300 ? this.apply() : undefined;
  }

  /**
   * Invalidates answers after the revocation has succeeded: those about the token. If none is cached, the
   * token may be a refresh token, whose access tokens end with it (RFC 7009 §2.1): then those about all
   * tokens of the client. If the form cannot be read, or the client is not known: all answers. A form without
   * a token has revoked nothing.
   */
  apply(): RevocationEffect {
    const form = this.#read();
    if (form === undefined) return this.#forget('all') ? 'all' : 'all_delayed';
    const { tokens, hint, clientId } = form;
    if (tokens.length === 0) return 'none';
    const known = tokens.map((token) => this.#forget({ token }));
    if (!known.includes(false) || hint === 'access_token') return 'token';
    if (clientId === undefined) return this.#forget('all') ? 'all' : 'all_delayed';
    return this.#forget({ claim: 'client_id', value: clientId }) ? 'client' : 'client_delayed';
  }

  #read(): Form | undefined {
    const { authorization } = this.#fields;
    const form = this.#bytes > MAX_FORM_BYTES ? undefined : this.#form();
    if (form === undefined) return undefined;
    // Some servers read parameters from the query too.
    const inQuery = new URLSearchParams(this.#query).getAll('token');
    const tokens = [...new Set([...form.getAll('token'), ...inQuery])].filter((token) => token !== '');
    if (tokens.length > MOST_TOKENS) return undefined;
    return {
      tokens,
      hint: form.get('token_type_hint') ?? undefined,
      clientId: basicUser(authorization) ?? form.get('client_id') ?? undefined,
    };
  }

  #form(): URLSearchParams | undefined {
    const { contentType, names } = this.#fields;
    const body = Buffer.concat(this.#pieces);
    if (contentType === undefined || names.includes('content-encoding')) return undefined;
    if (FORM.test(contentType)) return new URLSearchParams(body.toString());
    const fields = multipartFields(contentType, body);
    return fields === undefined ? undefined : new URLSearchParams(fields);
  }
}

/** The client id in Basic credentials. It is form-encoded (RFC 6749 §2.3.1). */
function basicUser(authorization: string | undefined): string | undefined {
  const encoded = BASIC.exec(authorization ?? '')?.[1];
  if (encoded === undefined) return undefined;
  const [user = ''] = Buffer.from(encoded, 'base64').toString().split(':', 1);
  return new URLSearchParams(`u=${user}`).get('u') ?? undefined;
}
