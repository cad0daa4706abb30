/** An authorization server's introspection endpoint (RFC 7662 §2), as a rule or the settings name it. */
export interface Endpoint {
  readonly url: string;
  /** Fixed header fields sent with the call (`introspection_request_headers`). */
  readonly headers: Readonly<Record<string, string>>;
}

/** The authorization server's answer about a token, as it was given (RFC 7662 §2.2). */
export type Answer = InactiveAnswer | ActiveAnswer;

/** `{"active": false}`; any other member is meaningless (RFC 7662 §2.2). */
export interface InactiveAnswer {
  readonly active: false;
}

/** An active token's metadata, shapes unified, meaning untouched. */
export interface ActiveAnswer {
  readonly active: true;
  readonly claims: Readonly<Record<string, unknown>>;
  readonly scopes: readonly string[];
  readonly audience: readonly string[];
  readonly expiresAt?: number;
  readonly notBefore?: number;
  readonly issuedAt?: number;
  readonly issuer?: string;
  readonly subject?: string;
  readonly clientId?: string;
}
