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

/**
 * An introspection call without a usable answer. The message is for the log and holds neither token nor body.
 */
export class CallFailed extends Error {
  /** Milliseconds that the server asked to wait (`Retry-After`); 0 if it did not. */
  readonly retryAfter: number;
  /**
   * Whether the server works and only this answer is unusable. Such a failure must not open the circuit
   * breaker: otherwise one client could block all others with a token that the server cannot handle.
   */
  readonly alive: boolean;
  /** Whether the call was never sent, because this process is out of descriptors, ports or memory. */
  readonly unasked: boolean;
  /** What failed, as one word for the audit line; undefined if only the message says it. */
  readonly code: string | undefined;
  constructor(
    message: string,
    {
      retryAfter = 0,
      alive = false,
      unasked = false,
      code,
    }: { retryAfter?: number; alive?: boolean; unasked?: boolean; code?: string } = {},
  ) {
    super(message);
    this.name = 'CallFailed';
    this.retryAfter = retryAfter;
    this.alive = alive;
    this.code = code;
    this.unasked = unasked;
  }
}
