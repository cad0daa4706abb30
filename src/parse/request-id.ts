import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Peer } from './peer.js';

/** The format of request ids that are accepted from a trusted proxy; scopegate replaces any other id. */
const REQUEST_ID = /^[A-Za-z0-9._~:+/=-]{1,128}$/;

/** The request id: that of a trusted peer if it has the accepted format, otherwise a new one. */
export function requestIdOf(message: IncomingMessage, peer: Peer): string {
  const given = peer.trusted ? message.headers['x-request-id'] : undefined;
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
}
