import type { Denial } from './errors.js';
import type { IntrospectionTrace } from './introspection.js';
import type { HeaderMutations, HeaderRemoval } from './mutator.js';
import type { Rule } from './rule.js';
import type { Subject } from './strategy.js';

/** The one decision about a request. */
export type Decision = Allowed | Denied;

/** The request may go to its rule's upstream. */
export interface Allowed {
  readonly allowed: true;
  readonly rule: Rule;
  /** The path to send: the very one that was matched. */
  readonly path: string;
  /**
   * The query to send, where it is not the one that came: a token was taken out of it. The answer is then private
   * (RFC 6750 §2.3).
   */
  readonly query?: string;
  readonly subject: Subject;
  readonly introspection?: IntrospectionTrace;
  /** The nonce for the client's next DPoP proof, for the answer (RFC 9449 §8.2). */
  readonly nonce?: string;
  /** What of the request does not go upstream: the places of its token, where the rule says so. */
  readonly removal?: HeaderRemoval;
  /** What the rule's mutators made of the request; undefined where it has none, or nothing is forwarded. */
  readonly mutations?: HeaderMutations;
}

/** The request is refused, with a row of the error table. */
export interface Denied {
  readonly allowed: false;
  readonly denial: Denial;
  /** Undefined where no rule matched. */
  readonly rule?: Rule | undefined;
  /** Whom the refused token was for, if it was understood. */
  readonly subject?: Subject | undefined;
  readonly introspection?: IntrospectionTrace | undefined;
}
