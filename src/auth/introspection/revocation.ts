import type { Fields } from '../../parse/fields.js';
import { MAX_FORM_BYTES } from '../../parse/form.js';
import type { Invalidation } from './invalidation.js';

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
