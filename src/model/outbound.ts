/** One HTTP call to a service that rules name: a session store, a token endpoint, a hydrator. */
export interface Call {
  /** The purpose; `explain` uses it to simulate the reply without a network. */
  readonly purpose: 'session' | 'token' | 'hydrate' | 'authorize' | 'metadata' | 'readiness';
  /** http or https. */
  readonly url: string;
  readonly method: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** Milliseconds for the whole call, in place of the gateway's own limit. */
  readonly timeout?: number;
  /** Whether any status below 500 is a usable reply. If absent, redirects, 408 and 429 are failures. */
  readonly takesRedirects?: true;
}

/** The result of a call. A failure is a value: calls neither throw nor reject. */
export type Reply =
  | {
      readonly ok: true;
      readonly status: number;
      readonly body: string;
      /** By lower-case name. Absent in `explain`. */
      readonly headers?: Readonly<Record<string, string | string[] | undefined>>;
    }
  | Unavailable;

/** The called service gave no usable reply. scopegate then answers the client with 503, never 401. */
export interface Unavailable {
  readonly ok: false;
  /** What failed. For the log, never for the client. */
  readonly cause: string;
  /** Seconds that the client should wait, for `Retry-After`. */
  readonly retryAfter: number;
  /**
   * Whether the call was never sent because this process is out of descriptors, ports or memory. If absent,
   * it was sent.
   */
  readonly unasked?: boolean;
  /** The status of the response, if there was one. */
  readonly status?: number;
}

/** What a JSON Web Token must meet before its claims are used. */
export interface Verification {
  /** The key sets whose keys may sign it. */
  readonly sources: readonly KeySource[];
  /** The signature algorithms (RFC 7518 §3.1) that it may use; never `none`, never a symmetric one. */
  readonly algorithms: readonly string[];
  /** Tolerated clock skew, in seconds. */
  readonly leeway: number;
  /** The values of `typ` that it may have, in lower case. If absent, those of an access token. */
  readonly types?: ReadonlySet<unknown>;
  /** The claims that it must have. If absent, `exp`. */
  readonly requires?: readonly string[];
}

/** Key sets, and the issuers whose tokens they verify. */
export interface KeySource {
  /** If empty, tokens of any issuer. */
  readonly issuers: readonly string[];
  /** JWKS documents: http, https or file URLs, or {@link METADATA_OF} before an issuer. */
  readonly urls: readonly string[];
}

/**
 * A prefix that is put before an issuer instead of a JWKS document's URL: the issuer's metadata names the
 * document.
 */
export const METADATA_OF = 'metadata:';

/** The result of verifying a token. */
export type Verified =
  | { readonly ok: true; readonly claims: Readonly<Record<string, unknown>> }
  /** The token is invalid. The reason may be shown to the client. */
  | { readonly ok: false; readonly reason: string }
  | Unavailable;

/** The network calls of handlers and mutators, except introspection. */
export interface Outbound {
  /** Sends one request and reads the response. Redirects are not followed. */
  call(call: Call): Reply | Promise<Reply>;
  /** Verifies a JWT: its signature with published keys (RFC 7515, RFC 7517), its type, `exp` and `nbf`. */
  verify(token: string, verification: Verification): Verified | Promise<Verified>;
}
