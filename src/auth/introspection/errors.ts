import type { Unavailable } from '../../model/outbound.js';

/**
 * Something that scopegate needs before an introspection call is not available: its own token, or the
 * server's metadata. The message is for the log and holds no credential.
 */
export class PrerequisiteUnavailable extends Error {
  /** Milliseconds that the server asked to wait (`Retry-After`); 0 if it did not. */
  readonly retryAfter: number;
  /** Whether the call was never sent, because this process is out of descriptors, ports or memory. */
  readonly unasked: boolean;

  /**
   * @param message what is not available
   * @param reply the failed call, if there was one
   */
  constructor(message: string, reply?: Unavailable) {
    super(reply === undefined ? message : `${message}: ${reply.cause}`);
    this.name = 'PrerequisiteUnavailable';
    this.retryAfter = (reply?.retryAfter ?? 0) * 1000;
    this.unasked = reply?.unasked === true;
  }
}

/**
 * An invalid introspection answer. It counts as a failure of the authorization server, never of the client.
 */
export class InvalidAnswer extends Error {
  constructor(problem: string) {
    super(problem);
    this.name = 'InvalidAnswer';
  }
}
