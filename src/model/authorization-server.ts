import type { KeyObject } from 'node:crypto';

/** An authorization server's introspection endpoint (RFC 7662 §2), as a rule or the settings name it. */
export interface Endpoint {
  readonly url: string;
  /** Fixed header fields sent with the call (`introspection_request_headers`). */
  readonly headers: Readonly<Record<string, string>>;
  /** How scopegate authenticates to the endpoint. */
  readonly auth: ClientAuth;
  /**
   * The URL under which the settings list this server. TLS trust and the client certificate of that server
   * apply to this endpoint only.
   */
  readonly server?: string;
  /** The server's issuer identifier; rules may name the server by it too. */
  readonly issuer?: string;
  /** `url` is the issuer; scopegate reads the endpoint's address from its metadata (RFC 8414). */
  readonly discovered?: true;
  /** If undefined, answers are plain JSON (RFC 7662 §2.2). */
  readonly signed?: SignedAnswers;
  /** If undefined, every inactive answer counts. */
  readonly readiness?: Readiness;
  /** The longest that an answer may be cached, in milliseconds; 0: not at all. If undefined, the settings say. */
  readonly lifetime?: number;
  /** How long a rule's call may be made again after a connection error. If undefined, the settings say. */
  readonly retry?: RetryLimits;
}

/** How a failed call is made again; milliseconds. */
export interface RetryLimits {
  /** When to stop, from the first attempt on. */
  readonly giveUpAfter: number;
  /** The longest pause between two attempts. */
  readonly maxDelay: number;
}

/** The URL that says whether an authorization server can look tokens up. */
export interface Readiness {
  readonly url: string;
  /** scopegate derived it from the introspection URL. So the server may not serve it. */
  readonly derived?: true;
}

/** Who must sign introspection answers, and for which audience (RFC 9701). */
export interface SignedAnswers {
  readonly issuer: string;
  /** URL of the server's key set. If undefined, scopegate takes it from the server's metadata. */
  readonly jwksUrl?: string;
  /** The `aud` that answers must have: scopegate's identifier at the server. */
  readonly audience: string;
  readonly algorithms: readonly string[];
  /** If present, answers must be encrypted for one of these keys. They are read for each answer. */
  readonly decryption?: () => readonly DecryptionKey[];
}

/** How scopegate authenticates to the introspection endpoint (RFC 7662 §2.1). */
export type ClientAuth =
  /** No client authentication, as at Hydra's admin port. */
  | { readonly method: 'none' }
  /** Client id and secret in the Authorization field (RFC 6749 §2.3.1). */
  | { readonly method: 'basic'; readonly clientId: string; readonly clientSecret: () => string }
  /** Client id and secret in the form (RFC 6749 §2.3.1). */
  | { readonly method: 'post'; readonly clientId: string; readonly clientSecret: () => string }
  /** A signed assertion in the form (RFC 7523 §2.2). */
  | ({ readonly method: 'private_key_jwt' | 'client_secret_jwt' } & AssertionSource)
  /** The connection's client certificate (RFC 8705 §2); the form carries the client id. */
  | { readonly method: 'tls'; readonly clientId: string }
  /** A static bearer token (RFC 7662 §2.1). */
  | { readonly method: 'bearer'; readonly token: () => string }
  /** A bearer token that scopegate requests for itself, as Oathkeeper's `pre_authorization` does. */
  | { readonly method: 'pre_authorization'; readonly grant: Grant };

/** The key that signs client assertions: a private key, or the client secret. */
export interface AssertionKey {
  /** A private key, or the UTF-8 bytes of the client secret (OpenID Connect Core §9). */
  readonly key: KeyObject;
  /** JWS algorithm (RFC 7518 §3.1, RFC 8037 §3.1). */
  readonly algorithm: string;
  /** `kid` of the JWS header (RFC 7515 §4.1.4). Absent if neither the settings nor the key have one. */
  readonly keyId?: string;
}

/** The contents of a client assertion, and the key that signs it. */
export interface AssertionSource {
  readonly clientId: string;
  /** `aud`: the authorization server's issuer identifier. */
  readonly audience: string;
  /** Read for each assertion, so that a rotated key takes effect. */
  readonly key: () => AssertionKey;
}

/** How scopegate requests a token for itself: the client credentials grant (RFC 6749 §4.4). */
export interface Grant {
  readonly tokenUrl: string;
  readonly clientId: string;
  readonly clientSecret: () => string;
  readonly scope: readonly string[];
  /** The `audience` parameter that Ory Hydra and Auth0 accept. */
  readonly audience?: string;
}

/** A private key of scopegate. The authorization server encrypts answers with its public key. */
export interface DecryptionKey {
  readonly key: KeyObject;
  /** JWE algorithms (`alg`, RFC 7518 §4.1) that the key may be used with. */
  readonly algorithms: readonly string[];
  /** If absent, scopegate tries the key for every `kid`. */
  readonly keyId?: string;
}
