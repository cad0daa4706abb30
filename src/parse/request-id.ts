import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Peer } from './peer.js';

/** What an identifier of a trusted proxy may look like; anything else is replaced. */
const REQUEST_ID = /^[A-Za-z0-9._~:+/=-]{1,128}$/;

/** The request's identifier: that of a trusted peer where it looks like one, or a new one. */
export function requestIdOf(message: IncomingMessage, peer: Peer): string {
  const given = peer.trusted ? message.headers['x-request-id'] : undefined;
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
}
