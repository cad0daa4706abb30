import type { ClientAddressReader } from '../parse/client-address.js';
import type { Fields } from '../parse/fields.js';
import type { BodyReader } from '../parse/form.js';
import type { Peer } from '../parse/peer.js';
import type { Target } from '../parse/target.js';
import type { TokenSource } from '../parse/token.js';
import type { Denial, DpopChallenge } from './errors.js';
import type { FieldEncoding } from './field-encoding.js';
import type { IntrospectionTrace, Introspector } from './introspection.js';
import type { HeaderRemoval } from './mutator.js';
import type { Outbound } from './outbound.js';
import type { PossessionVerifier } from './possession.js';

/** What an access strategy sees of a request. The target is already canonical. */
export interface RequestContext {
  readonly method: string;
  readonly target: Target;
  readonly fields: Fields;
  /** The other end of the connection. Undefined in `explain` and `test`, where there is no connection. */
  readonly peer?: Peer | undefined;
  /** The scheme of a request that a proxy describes (forward-auth). */
  readonly scheme?: string | undefined;
  readonly requestId?: string | undefined;
  /** Reads the body. Undefined if the body is not available. */
  readonly body?: BodyReader | undefined;
}

/** The subject of a request, as far as the access strategy knows it. */
export interface Subject {
  /** The subject identifier (`sub`); empty for an anonymous or unauthenticated request. */
  readonly subject: string;
  readonly clientId?: string | undefined;
  /** The scopes granted to the token. */
  readonly scopes?: readonly string[];
  /** The claims that mutators read: the introspection answer, or the payload of the JWT. */
  readonly claims?: Readonly<Record<string, unknown>>;
  /** When the credential expires, in seconds since 1970, if known. */
  readonly expiresAt?: number | undefined;
}

/** The result of an access strategy for one request. */
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
   * The request carries no credential of this strategy's kind. The rule's next strategy decides. If there is
   * none, the client gets this denial (default: the request carries no bearer token).
   */
  | { readonly kind: 'pass'; readonly denial?: Denial };

/**
 * What an access strategy needs from the running gateway. `explain` and `test` pass their own, which use no
 * network.
 */
export interface Services extends Introspector, Outbound {
  /** Wall-clock time in seconds since 1970, for `exp` and `nbf`. */
  now(): number;
  /**
   * Verifies the keys that tokens are bound to. `assumed` in `explain` and `test`, whose tokens are taken to
   * meet any binding that a rule requires. If undefined, no binding can be verified.
   */
  readonly possession?: PossessionVerifier | 'assumed';
  /** Finds the client's address, through trusted proxies; if undefined, it is the peer's. */
  readonly clientAddress?: ClientAddressReader;
  /** How characters outside of ASCII are sent in what mutators set; UTF-8 if undefined. */
  readonly fieldEncoding?: FieldEncoding;
  /** False if only the decision is wanted; mutators do not run then. */
  readonly forwards?: false;
}

/** Which proof of possession a rule may require of tokens. */
export type RequiredPossession = 'dpop' | 'certificate' | 'any';

/** Which proof of possession an access strategy requires of tokens. */
export interface BindingRules {
  /** If undefined, a token that is bound to no key is accepted too. */
  readonly required: RequiredPossession | undefined;
  /** For challenges. Undefined if DPoP is off. */
  readonly dpop: DpopChallenge | undefined;
}

/**
 * A warning about a configuration that works but is probably not intended. It is reported when the rules are
 * loaded.
 */
export interface StrategyWarning {
  /** The place, below the strategy's `config`. */
  readonly path: readonly (string | number)[];
  /** A short name, such as `session-check-as-client`. */
  readonly code: string;
  /** What is wrong and what to write instead. */
  readonly message: string;
}

/** Where the answer of a session store names the subject and the extra values: names of members, outermost first. */
export interface SessionPaths {
  readonly subjectFrom: readonly string[];
  /** Empty for the whole answer. */
  readonly extraFrom: readonly string[];
}

/** One compiled access strategy of one rule. */
export interface AccessStrategy {
  /** The handler's name as the rule writes it. */
  readonly handler: string;
  /** The required scopes, for `explain`, `/rules` and challenges. */
  readonly requiredScopes: readonly string[];
  /** Whether it reads a token from {@link tokenSources} and refuses a request with two tokens. */
  readonly readsTokens?: true;
  /** Whether it allows requests only because they carry no credential. */
  readonly needsNoCredential?: true;
  /** The places where it looks for its token, in order. Undefined for the Authorization field only. */
  readonly tokenSources?: readonly TokenSource[] | undefined;
  /**
   * The header fields and cookies to remove from a request that it allows: those that carry the token. If
   * undefined, all are forwarded.
   */
  readonly removal?: HeaderRemoval | undefined;
  /**
   * Which proof of possession it requires, and how DPoP is used. Undefined for strategies without such
   * tokens.
   */
  readonly binding?: BindingRules;
  /**
   * What mutators and authorizers read as `.Extra` of a subject that it has allowed. If undefined, the
   * subject's claims.
   */
  readonly extra?: (subject: Subject) => Readonly<Record<string, unknown>>;
  /** Where it reads a session in the answer of the session store. Undefined if it asks none. */
  readonly session?: SessionPaths;
  /** Warnings about its configuration. Absent if there are none. */
  readonly warnings?: readonly StrategyWarning[];
  authenticate(attempt: RequestContext, services: Services): Outcome | Promise<Outcome>;
}
