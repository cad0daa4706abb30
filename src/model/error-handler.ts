import type { Fields } from '../parse/fields.js';
import type { Peer } from '../parse/peer.js';
import type { Target } from '../parse/target.js';
import type { TokenSource } from '../parse/token.js';
import type { ErrorAnswer } from './errors.js';

/** A refused request, as error handlers see it. */
export interface RefusedRequest {
  readonly fields: Fields;
  readonly target: Target;
  readonly peer?: Peer | undefined;
  /** The scheme of a request that a proxy describes (forward-auth). */
  readonly scheme?: string | undefined;
}

/** The parts of the rule that they use. */
export interface RefusingRule {
  readonly hosts: readonly string[];
  readonly strategies: readonly { readonly tokenSources?: readonly TokenSource[] | undefined }[];
}

/**
 * An error handler of a rule. It determines how a client gets a refusal: as JSON, as a redirect, or as a
 * challenge.
 */
export interface ErrorHandler {
  readonly handler: string;
  /**
   * Whether it handles this refusal.
   *
   * @param status of the refusal
   */
  handles(status: number, fields: Fields): boolean;
  /** Its response; undefined for the JSON error body alone. */
  answer(request: RefusedRequest, rule: RefusingRule): ErrorAnswer | undefined;
}
