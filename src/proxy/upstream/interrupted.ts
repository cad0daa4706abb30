/** Why an exchange with an upstream ended, where nothing else has a code for it. */
export class Interrupted extends Error {
  readonly code: string;
  /** @param code for the log and the error table */
  constructor(code: string) {
    super(code);
    this.name = 'Interrupted';
    this.code = code;
  }
}

/** The answer did not begin in time. */
export const HEAD_TIMEOUT = 'headers_timeout';

/** The answer did not go on in time. */
export const BODY_TIMEOUT = 'body_timeout';

/** No connection was free in time. */
export const QUEUE_TIMEOUT = 'queue_timeout';

/** The exchange lasts, and there are as many of these as there may be. */
export const LONG_FULL = 'long_exchanges_full';

/** The client has as many requests in flight, or exchanges that last, as one client may have. */
export const CLIENT_SHARE = 'client_share';

/** The upstream ended the connection before its answer was whole. */
export const CLOSED = 'upstream_closed';
