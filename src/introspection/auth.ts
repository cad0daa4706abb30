import { hash } from 'node:crypto';

/** How the gateway identifies itself to the authorization server's introspection endpoint (RFC 7662 §2.1). */
export type ClientAuth =
  /** Hydra's admin port asks for none. */
  | { readonly method: 'none' }
  /** RFC 6749 §2.3.1, in the Authorization field. */
  | { readonly method: 'basic'; readonly clientId: string; readonly clientSecret: () => string }
  /** RFC 6749 §2.3.1, in the form. */
  | { readonly method: 'post'; readonly clientId: string; readonly clientSecret: () => string }
  /** A static bearer token (RFC 7662 §2.1). */
  | { readonly method: 'bearer'; readonly token: () => string };

/** What client authentication adds to one introspection call. */
export interface Proof {
  readonly authorization?: string;
  /** Form parameters, already encoded, starting with `&`; empty for none. */
  readonly form: string;
}

/** Builds what identifies the gateway in one call. Secrets are read at each call, so that a rotated file counts. */
export function proof(auth: ClientAuth): Proof {
  switch (auth.method) {
    case 'none':
      return { form: '' };
    case 'basic': {
      // Both parts are form-encoded before Base64: a raw `+`, `%` or `:` would be read as something else.
      const pair = `${formEncode(auth.clientId)}:${formEncode(auth.clientSecret())}`;
      return { authorization: `Basic ${Buffer.from(pair).toString('base64')}`, form: '' };
    }
    case 'post':
      return {
        form: `&client_id=${formEncode(auth.clientId)}&client_secret=${formEncode(auth.clientSecret())}`,
      };
    case 'bearer':
      return { authorization: `Bearer ${auth.token()}`, form: '' };
  }
}

/** Names the credentials without holding them, for the cache key: who asks decides what is answered. */
export function authIdentity(auth: ClientAuth): string {
  switch (auth.method) {
    case 'none':
      return auth.method;
    case 'bearer':
      return `${auth.method}:${hash('sha256', auth.token(), 'base64')}`;
    default:
      return `${auth.method}:${auth.clientId}`;
  }
}

/** `application/x-www-form-urlencoded` serialisation of one value (WHATWG URL §5.2). */
export function formEncode(value: string): string {
  return new URLSearchParams({ v: value }).toString().slice(2);
}
