import type { Fields } from '../parse/fields.js';
import type { BodyReader } from '../parse/form.js';
import type { Peer } from '../parse/peer.js';
import type { Target } from '../parse/target.js';
import type { TokenSource } from '../parse/token.js';
import type { Denial, DpopChallenge } from './errors.js';
import type { IntrospectionTrace, Introspector } from './introspection.js';
import type { HeaderRemoval } from './mutator.js';
import type { Outbound } from './outbound.js';
import type { PossessionVerifier } from './possession.js';

/** What an access strategy may look at: the request as the decision sees it, already canonical. */
export interface RequestContext {
  readonly method: string;
  readonly target: Target;
  readonly fields: Fields;
  /** Who sent it; undefined where nobody did. */
  readonly peer?: Peer | undefined;
  /** The scheme of a request that a proxy describes. */
  readonly scheme?: string | undefined;
  /** Undefined where nobody can look into the body. */
  readonly body?: BodyReader | undefined;
}

/** Who an allowed request acts for, as far as the strategy learned it. */
export interface Subject {
  /** The subject identifier (`sub`), empty for an anonymous or unauthenticated request. */
  readonly subject: string;
  readonly clientId?: string | undefined;
  /** The scopes granted to the token. */
  readonly scopes?: readonly string[];
  /** The claims mutators read: the introspection answer or the JWT's payload. */
  readonly claims?: Readonly<Record<string, unknown>>;
  /** When the credential ends, in seconds since 1970, if it says so. */
  readonly expiresAt?: number | undefined;
}

/** What an access strategy says of a request. */
export type Outcome =
  | {
      readonly kind: 'allow';
      readonly subject: Subject;
      readonly introspection?: IntrospectionTrace;
      /** The nonce for the client's next DPoP proof. */
      readonly nonce?: string;
    }
  | {
      readonly kind: 'deny';
      readonly denial: Denial;
      readonly introspection?: IntrospectionTrace | undefined;
      readonly subject?: Subject | undefined;
    }
  /**
   * This strategy sees no credential it is responsible for: the rule's next one decides, and where there is none, the
   * denial is what the client is told (default: that the request carries no token).
   */
  | { readonly kind: 'pass'; readonly denial?: Denial };

/** What a strategy needs from the running gateway. `explain` and `test` pass their own, without a network. */
export interface Services extends Introspector, Outbound {
  /** Wall-clock time in seconds since 1970, for `exp` and `nbf`. */
  now(): number;
  /**
   * Verifies keys that tokens are bound to; `assumed` where the question is about a token that meets whatever a rule
   * demands of it. Undefined: no binding can be verified.
   */
  readonly possession?: PossessionVerifier | 'assumed';
  /** False where the decision is all that is wanted: mutators are then left out. */
  readonly forwards?: false;
}

/** What a rule may demand of the key of its tokens. */
export type RequiredPossession = 'dpop' | 'certificate' | 'any';

/** What a strategy says about the keys of its tokens. */
export interface BindingRules {
  /** Undefined: a token that is bound to no key is taken as well. */
  readonly required: RequiredPossession | undefined;
  /** For challenges; undefined where DPoP is off. */
  readonly dpop: DpopChallenge | undefined;
}

/** What works and is probably not meant: told of when the rules are loaded. */
export interface StrategyWarning {
  /** Where, below the strategy's `config`. */
  readonly path: readonly (string | number)[];
  /** A short name, such as `session-check-as-client`. */
  readonly code: string;
  /** What is wrong and what to write instead. */
  readonly message: string;
}

/** One compiled access strategy of one rule. */
export interface AccessStrategy {
  /** The handler's name as the rule writes it. */
  readonly handler: string;
  /** The scopes it requires, for `explain`, `/rules` and challenges. */
  readonly requiredScopes: readonly string[];
  /** Whether it reads a token from {@link tokenSources}, and refuses a request with two of them. */
  readonly readsTokens?: true;
  /** Where it reads its token from, in order, if not from the Authorization field. */
  readonly tokenSources?: readonly TokenSource[] | undefined;
  /** What does not go upstream of a request that it allows: the places of its token. Undefined: all goes. */
  readonly removal?: HeaderRemoval | undefined;
  /** What it demands of a token's key, and how DPoP is used here; undefined where it knows no such tokens. */
  readonly binding?: BindingRules;
  /** Absent: none. */
  readonly warnings?: readonly StrategyWarning[];
  authenticate(attempt: RequestContext, services: Services): Outcome | Promise<Outcome>;
}
