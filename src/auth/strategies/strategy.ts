import type { Endpoint } from '../../model/authorization-server.js';
import type { AccessStrategy } from '../../model/strategy.js';

/** The gateway-wide values that a handler falls back to where the rule's `config` is silent. */
export interface HandlerDefaults {
  readonly scopeStrategy: ScopeStrategyName;
  /** The endpoint for rules that name no `introspection_url`. */
  readonly endpoint: Endpoint;
  /** Endpoints of further servers, which a rule's `introspection_url` means by their URL or origin. */
  readonly servers?: readonly Endpoint[];
  /** Clock skew tolerated on `exp`, `nbf` and `iat`, in seconds. */
  readonly leeway: number;
  /**
   * Milliseconds for which the rule goes on with what was known of a token while the authorization server gives no
   * answer; absent, it does not.
   */
  readonly staleIfError?: number;
  /** What the handler `jwt` falls back to, besides. */
  readonly jwt?: {
    /** Key sets for rules that name none. */
    readonly keyUrls: readonly string[];
    /** Issuers for rules that name none; empty: any. */
    readonly trustedIssuers: readonly string[];
    /** Absent: that of the gateway. */
    readonly scopeStrategy?: ScopeStrategyName;
  };
  /** Signature algorithms of DPoP proofs; undefined where DPoP is off. */
  readonly dpopAlgorithms?: readonly string[];
}

/** How required scopes are compared with granted ones; see `scope.ts`. */
export type ScopeStrategyName = 'exact' | 'hierarchic' | 'wildcard';

/** A kind of access strategy: how its `config` must look, and how it is compiled. Registered in `auth/strategies/table.ts`. */
export interface Handler {
  readonly name: string;
  /** JSON Schema (draft-07) of the rule's `config`; the handlers that take none accept only an empty object. */
  readonly schema: Readonly<Record<string, unknown>>;
  /**
   * @param config already valid against `schema`
   * @throws ConfigError when a value fits the schema but cannot work
   */
  compile(config: Readonly<Record<string, unknown>>, defaults: HandlerDefaults): AccessStrategy;
}
