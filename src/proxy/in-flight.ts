import { CLIENT_SHARE, Interrupted, QUEUE_TIMEOUT } from './upstream/interrupted.js';

/** The part of the request record that an exchange uses. */
export interface InFlightRecord {
  /** Stops counting the request as in flight, because it is a long exchange. */
  leaveInFlight(): void;
  /** Counts it as in flight again. @returns the limit that is reached; undefined if none is */
  rejoinInFlight(): 'in_flight' | 'client_share' | undefined;
  /** Counts it as a long exchange of its client. @returns false if there is no room */
  joinLong(): boolean;
}

/**
 * Counts an exchange that is about to be sent. A request with a body did not count as in flight while scopegate
 * waited for the body.
 *
 * @param long whether the exchange is long from the start: its body is too large to wait for, or it is a
 *   handshake
 * @throws Interrupted if a limit is reached
 */
export function countExchange(record: InFlightRecord, withBody: boolean, long: boolean): void {
  if (long) {
    if (!record.joinLong()) throw new Interrupted(CLIENT_SHARE);
  } else if (withBody) {
    const full = record.rejoinInFlight();
    if (full !== undefined) throw new Interrupted(full === 'in_flight' ? QUEUE_TIMEOUT : CLIENT_SHARE);
  }
}
