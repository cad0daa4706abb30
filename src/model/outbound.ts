/** One HTTP call to a service that rules name: a session store, a token endpoint, a hydrator. */
export interface Call {
  /** What it is for; `explain` answers by it without a network. */
  readonly purpose: 'session' | 'token' | 'hydrate' | 'metadata';
  /** http or https. */
  readonly url: string;
  readonly method: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** What came of a call. Trouble is a value: calls neither throw nor reject. */
export type Reply = { readonly ok: true; readonly status: number; readonly body: string } | Unavailable;

/** Nobody gave a usable answer: whoever asked must answer 503, never 401. */
export interface Unavailable {
  readonly ok: false;
  /** For the log, never for the client. */
  readonly cause: string;
  /** Seconds, for `Retry-After`. */
  readonly retryAfter: number;
  /** Whether nobody was asked, because this process has nothing left to ask with; absent: somebody was. */
  readonly unasked?: boolean;
}

/** What must hold of a JSON Web Token before its claims are looked at. */
export interface Verification {
  /** Whose keys may have signed it. */
  readonly sources: readonly KeySource[];
  /** Signature algorithms (RFC 7518 §3.1) it may use; never `none` or a symmetric one. */
  readonly algorithms: readonly string[];
  /** Tolerated clock skew, in seconds. */
  readonly leeway: number;
  /** Values of `typ`, in lower case, that it may have; absent: those of an access token. */
  readonly types?: ReadonlySet<unknown>;
  /** Claims it must have; absent: `exp`. */
  readonly requires?: readonly string[];
}

/** Key sets, and the issuers they speak for. */
export interface KeySource {
  /** Empty: any. */
  readonly issuers: readonly string[];
  /** JWKS documents: http, https or file URLs. */
  readonly urls: readonly string[];
}

/** What came of verifying a token. */
export type Verified =
  | { readonly ok: true; readonly claims: Readonly<Record<string, unknown>> }
  /** The token is at fault; the reason may be shown to the client. */
  | { readonly ok: false; readonly reason: string }
  | Unavailable;

/** What handlers and mutators reach over the network, besides introspection. */
export interface Outbound {
  /** Sends one request and reads the answer. Redirects are not followed. */
  call(call: Call): Reply | Promise<Reply>;
  /** Verifies a JWT's signature by published keys (RFC 7515, RFC 7517), its type, `exp` and `nbf`. */
  verify(token: string, verification: Verification): Verified | Promise<Verified>;
}
