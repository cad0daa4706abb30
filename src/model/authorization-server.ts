import type { KeyObject } from 'node:crypto';

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

/** How the gateway identifies itself to the authorization server's introspection endpoint (RFC 7662 §2.1). */
export type ClientAuth =
  /** Hydra's admin port asks for none. */
  | { readonly method: 'none' }
  /** RFC 6749 §2.3.1, in the Authorization field. */
  | { readonly method: 'basic'; readonly clientId: string; readonly clientSecret: () => string }
  /** RFC 6749 §2.3.1, in the form. */
  | { readonly method: 'post'; readonly clientId: string; readonly clientSecret: () => string }
  /** A signed assertion in the form (RFC 7523 §2.2). */
  | ({ readonly method: 'private_key_jwt' | 'client_secret_jwt' } & AssertionSource)
  /** The connection's client certificate (RFC 8705 §2); the form says whose it is. */
  | { readonly method: 'tls'; readonly clientId: string }
  /** A static bearer token (RFC 7662 §2.1). */
  | { readonly method: 'bearer'; readonly token: () => string }
  /** A bearer token that the gateway gets for itself, as Oathkeeper's `pre_authorization`. */
  | { readonly method: 'pre_authorization'; readonly grant: Grant };

/** What signs client assertions: a private key, or the client secret. */
export interface AssertionKey {
  /** Of a secret its UTF-8 bytes (OpenID Connect Core §9). */
  readonly key: KeyObject;
  /** JWS algorithm (RFC 7518 §3.1, RFC 8037 §3.1). */
  readonly algorithm: string;
  /** `kid` of the JWS header (RFC 7515 §4.1.4); absent where neither the settings nor the key say one. */
  readonly keyId?: string;
}

/** What a client assertion says of the gateway, and what signs it. */
export interface AssertionSource {
  readonly clientId: string;
  /** Whom it is for: the authorization server's issuer identifier. */
  readonly audience: string;
  /** Read at each use, so that a rotated key counts. */
  readonly key: () => AssertionKey;
}

/** Where the gateway gets a token for itself (RFC 6749 §4.4). */
export interface Grant {
  readonly tokenUrl: string;
  readonly clientId: string;
  readonly clientSecret: () => string;
  readonly scope: readonly string[];
  /** The token's audience, as Ory Hydra and Auth0 take it. */
  readonly audience?: string;
}

/** A private key of the gateway, for whose public half answers are encrypted. */
export interface DecryptionKey {
  readonly key: KeyObject;
  /** JWE algorithms (`alg`, RFC 7518 §4.1) that it may be used with. */
  readonly algorithms: readonly string[];
  /** Absent: it may be meant whatever `kid` an answer names. */
  readonly keyId?: string;
}
