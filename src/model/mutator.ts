import type { X509Certificate } from 'node:crypto';
import type { Peer, TlsParameters } from '../parse/peer.js';
import type { Denial } from './errors.js';
import type { FieldEncoding } from './field-encoding.js';
import type { Outbound } from './outbound.js';

/** What mutators need from the running gateway. */
export interface MutatorServices {
  readonly call: Outbound['call'];
  /** Seconds since 1970. */
  now(): number;
  /** How characters outside of ASCII are sent; UTF-8 if undefined. */
  readonly fieldEncoding?: FieldEncoding;
  /** False if only the decision is wanted. Then only mutators that are `offline` run. */
  readonly forwards?: false;
}

/** One compiled mutator of one rule. */
export interface Mutator {
  /** The header fields it may set, as written. */
  readonly headers: readonly string[];
  /** The cookies it may set. */
  readonly cookies: readonly string[];
  /** Whether it needs nothing but the session, so that `explain` runs it too. */
  readonly offline?: true;
  /** The public keys that verify what this mutator signs (RFC 7517). */
  readonly keys: readonly PublicKey[];
  /**
   * Changes the session.
   *
   * @returns the refusal if the request must not go on; undefined otherwise
   */
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
  /** Canonical: the path that the rule was matched with. */
  readonly path: string;
  /** With its leading `?`, or empty. */
  readonly query: string;
  /** Name, value, name, value …, as the client sent them. */
  readonly rawHeaders: readonly string[];
  /** The compiled path of the rule; its groups are `RegexpCaptureGroups`. */
  readonly pattern: RegExp;
  /** The request's body; undefined if it has none, or if it is not here (forward-auth). */
  readonly content?: Content;
  /** Who sent the request, and how. Undefined in `explain` and `test`, where nobody did. */
  readonly client?: ClientConnection;
}

/** The connection on which a request came. Each member is found when it is read. */
export interface ClientConnection {
  /** Seconds since 1970. */
  readonly now: number;
  /** The client's certificate, if an authority has signed it (`certificateOf`). */
  readonly certificate: X509Certificate | undefined;
  /** The client's address, through trusted proxies. */
  readonly address: string;
  /** The peer of the connection. */
  readonly peer: Peer;
  /** The request's HTTP version, such as `1.1`. Undefined if another proxy received the request (forward-auth). */
  readonly version: string | undefined;
  /** Undefined without TLS, or if another proxy received the request. */
  readonly tls: TlsParameters | undefined;
  /** The scheme that the client used. */
  readonly scheme: string;
  /** The identifier of the request, as `X-Request-Id` tells the upstream. */
  readonly requestId: string | undefined;
}

/** The body of a request. */
export interface Content {
  /** Its declared length in bytes; undefined if that is not known, or if the client holds the body back. */
  readonly length: number | undefined;
  /** Reads it, and leaves it for the upstream. @returns undefined if it does not arrive completely */
  read(length: number): Promise<Uint8Array | undefined> | Uint8Array | undefined;
}

/** The state that one request's mutators read and change: Oathkeeper's authentication session. */
export interface Session {
  /** The subject that the access strategy found; empty if it does not authenticate. */
  readonly subject: string;
  /** `.Extra`: what the access strategy found, in Oathkeeper's shape; a hydrator replaces it. */
  extra: Readonly<Record<string, unknown>>;
  /** The credential's own claims; a template finds those that `extra` lacks. Undefined after a hydrator. */
  claims?: Readonly<Record<string, unknown>> | undefined;
  readonly match: MatchContext;
  /** Header fields to set, by lower-case name; values are text, not yet encoded. */
  readonly headers: Map<string, readonly [name: string, value: string]>;
  /** Cookies to set, by name. */
  readonly cookies: Map<string, string>;
  /** Further header fields of which the client's copies are removed: lower case, with hyphens. */
  replaced?: ReadonlySet<string>;
}

/** Header fields and cookies of a request that scopegate does not forward. */
export interface HeaderRemoval {
  /** Names as {@link fieldKey} returns them. */
  readonly headers: ReadonlySet<string>;
  /** Names as {@link cookieKey} returns them. */
  readonly cookies: ReadonlySet<string>;
}

/** What the mutators of a rule set for one request. */
export interface HeaderMutations {
  /**
   * The fields and cookies that the rule's mutators may set. scopegate removes the client's copies, whether a
   * mutator sets a new value or not.
   */
  readonly replaced: HeaderRemoval;
  /** Every value is valid in a header field. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly cookies: readonly (readonly [name: string, value: string])[];
}

/** The mutators of one rule. They run in order, and each sees what the earlier ones did. */
export interface MutatorChain {
  readonly mutators: readonly Mutator[];
  /** The fields and cookies that they may set. */
  readonly writes: HeaderRemoval;
}
