import type { Unavailable } from '../../model/outbound.js';

/** What the gateway needs before it can introspect is not to be had; the message is for the log and holds no credential. */
export class PrerequisiteUnavailable extends Error {
  /** Milliseconds the server asked to wait, 0 when it asked for none. */
  readonly retryAfter: number;
  /** Whether it was never asked, because this process has nothing left to ask with. */
  readonly unasked: boolean;

  /** @param reply what came in its place, if anything */
  constructor(message: string, reply?: Unavailable) {
    super(reply === undefined ? message : `${message}: ${reply.cause}`);
    this.name = 'PrerequisiteUnavailable';
    this.retryAfter = (reply?.retryAfter ?? 0) * 1000;
    this.unasked = reply?.unasked === true;
  }
}

/** An answer that is no answer: whoever asked must treat it as the authorization server's failure. */
export class InvalidAnswer extends Error {
  constructor(problem: string) {
    super(problem);
    this.name = 'InvalidAnswer';
  }
}
