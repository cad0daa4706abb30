import type { Denial } from './errors.js';
import type { Outbound } from './outbound.js';

/** What mutators need from the running gateway. */
export interface MutatorServices {
  readonly call: Outbound['call'];
  /** Seconds since 1970. */
  now(): number;
}

/** One compiled mutator of one rule. */
export interface Mutator {
  /** The header fields it may set, as written. */
  readonly headers: readonly string[];
  /** The cookies it may set. */
  readonly cookies: readonly string[];
  /** The public keys by which what it signs is verified (RFC 7517). */
  readonly keys: readonly PublicKey[];
  /** Changes the session, or says why the request cannot go on. */
  mutate(session: Session, services: MutatorServices): Denial | undefined | Promise<Denial | undefined>;
}

/** A public JSON Web Key. */
export interface PublicKey {
  readonly kid: string;
  readonly [member: string]: unknown;
}

/** The request as mutators see it. */
export interface MatchContext {
  readonly method: string;
  readonly host: string;
  /** Canonical: the one that was matched. */
  readonly path: string;
  /** With its `?`, or empty. */
  readonly query: string;
  /** Name, value, name, value … as the client sent them. */
  readonly rawHeaders: readonly string[];
  /** Compiled path of the rule; its groups are what `RegexpCaptureGroups` holds. */
  readonly pattern: RegExp;
}

/** What one request carries through the mutators of its rule: Oathkeeper's authentication session. */
export interface Session {
  /** Whom the access strategy found; empty where it looked for nobody. */
  readonly subject: string;
  /** What the access strategy learned; a hydrator replaces it. */
  extra: Readonly<Record<string, unknown>>;
  readonly match: MatchContext;
  /** Header fields to set, by lower-case name. */
  readonly headers: Map<string, readonly [name: string, value: string]>;
  /** Cookies to set, by name. */
  readonly cookies: Map<string, string>;
}

/** Header fields and cookies of a client that do not go upstream. */
export interface HeaderRemoval {
  /** Lower case, with hyphens for underscores. */
  readonly headers: ReadonlySet<string>;
  /** As {@link cookieKey} makes them. */
  readonly cookies: ReadonlySet<string>;
}

/** What the mutators of a rule made of one request. */
export interface HeaderMutations {
  /** The client's copies of what the rule's mutators may set: they go, set anew or not. */
  readonly replaced: HeaderRemoval;
  /** Checked: every value can stand in a header field. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly cookies: readonly (readonly [name: string, value: string])[];
}

/** The mutators of one rule, in order; each sees what the ones before it did. */
export interface MutatorChain {
  readonly mutators: readonly Mutator[];
  /** What they may set. */
  readonly writes: HeaderRemoval;
}
