import type { Endpoint } from '../../model/authorization-server.js';
import type { AccessStrategy } from '../../model/strategy.js';

/** The gateway-wide values that a handler uses if the rule's `config` does not set them. */
export interface HandlerDefaults {
  readonly scopeStrategy: ScopeStrategyName;
  /** The endpoint for rules that name no `introspection_url`. */
  readonly endpoint: Endpoint;
  /**
   * Endpoints of further servers. A rule selects one if its `introspection_url` is the server's URL or
   * origin.
   */
  readonly servers?: readonly Endpoint[];
  /** Clock skew tolerated on `exp`, `nbf` and `iat`, in seconds. */
  readonly leeway: number;
  /**
   * How long after it expires a cached answer may be used while the authorization server gives none, in
   * milliseconds. If absent, never.
   */
  readonly staleIfError?: number;
  /** Further values that only the handler `jwt` uses. */
  readonly jwt?: {
    /** Key sets for rules that name none. */
    readonly keyUrls: readonly string[];
    /** Issuers for rules that name none. If empty, any issuer is trusted. */
    readonly trustedIssuers: readonly string[];
    /** If absent, the gateway's own. */
    readonly scopeStrategy?: ScopeStrategyName;
  };
  /** Signature algorithms of DPoP proofs; undefined if DPoP is off. */
  readonly dpopAlgorithms?: readonly string[];
}

/** How required scopes are compared with granted ones; see `scope.ts`. */
export type ScopeStrategyName = 'exact' | 'hierarchic' | 'wildcard';

/**
 * A kind of access strategy: the schema of its `config`, and how it is compiled. All are registered in
 * `auth/strategies/table.ts`.
 */
export interface Handler {
  readonly name: string;
  /**
   * JSON Schema (draft-07) of the rule's `config`. Handlers without configuration accept only an empty
   * object.
   */
  readonly schema: Readonly<Record<string, unknown>>;
  /**
   * @param config already valid against `schema`
   * @throws ConfigError if a value fits the schema but cannot work
   */
  compile(config: Readonly<Record<string, unknown>>, defaults: HandlerDefaults): AccessStrategy;
}
