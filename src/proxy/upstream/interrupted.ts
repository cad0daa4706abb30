/** Why an exchange with an upstream ended, for causes that have no error code of their own. */
export class Interrupted extends Error {
  readonly code: string;
  /** @param code for the log and the error table */
  constructor(code: string) {
    super(code);
    this.name = 'Interrupted';
    this.code = code;
  }
}

/** The client has disconnected. */
export const CLIENT_CLOSED = 'client_closed';

/** The response did not begin in time. */
export const HEAD_TIMEOUT = 'headers_timeout';

/** The response did not continue in time. */
export const BODY_TIMEOUT = 'body_timeout';

/** No connection was free in time. */
export const QUEUE_TIMEOUT = 'queue_timeout';

/** The upstream has the maximum number of long exchanges. */
export const LONG_FULL = 'long_exchanges_full';

/** The client has the maximum number of requests in flight, or of long exchanges, for one client. */
export const CLIENT_SHARE = 'client_share';

/** The upstream closed the connection before its response was complete. */
export const CLOSED = 'upstream_closed';
