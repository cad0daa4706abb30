import type { Denial } from './errors.js';
import type { IntrospectionTrace } from './introspection.js';
import type { HeaderMutations, HeaderRemoval } from './mutator.js';
import type { Rule } from './rule.js';
import type { Subject } from './strategy.js';

/** The decision about a request. */
export type Decision = Allowed | Denied;

/** The request may go to its rule's upstream. */
export interface Allowed {
  readonly allowed: true;
  readonly rule: Rule;
  /** The path that the rule was matched with: canonical, with its empty segments where the rule keeps them. */
  readonly path: string;
  /** The path to send upstream, if the rule rewrites it: canonical as well. If undefined, `path` is sent. */
  readonly sentPath?: string;
  /**
   * Why the request would be denied, if the rule only observes. It is then forwarded without what mutators would
   * set, and without what the rule removes from an allowed request.
   */
  readonly wouldDeny?: Denial;
  /**
   * The query to send upstream, if it is not the request's own: a token was removed from it. The response is
   * then private (RFC 6750 §2.3).
   */
  readonly query?: string;
  readonly subject: Subject;
  readonly introspection?: IntrospectionTrace;
  /** The nonce for the client's next DPoP proof, sent with the response (RFC 9449 §8.2). */
  readonly nonce?: string;
  /**
   * The header fields and cookies that are not forwarded: those that carry the token, if the rule removes
   * them.
   */
  readonly removal?: HeaderRemoval;
  /** What the rule's mutators set. Undefined if the rule has no mutators, or if nothing is forwarded. */
  readonly mutations?: HeaderMutations;
}

/** The request is refused with a row of the error table. */
export interface Denied {
  readonly allowed: false;
  readonly denial: Denial;
  /** Undefined if no rule matched. */
  readonly rule?: Rule | undefined;
  /** The subject of the refused token, if scopegate could read it. */
  readonly subject?: Subject | undefined;
  readonly introspection?: IntrospectionTrace | undefined;
}
