import type { IncomingMessage } from 'node:http';
import { type Fields, hasBody } from '../parse/fields.js';
import { isStream, isUpgrade } from '../parse/parsed-request.js';

/** What Node itself looks at; the same from version 20 to 24. */
interface Unread {
  /** Whether somebody reads the body. */
  _consuming: boolean;
  readonly _readableState: { endEmitted: boolean };
}

/**
 * Spares a request that has no body the life of a stream. Once a request is answered, Node pulls what is left of its
 * body off the wire, unless somebody has begun to read it: where none was declared, that is two turns of the event
 * loop and three events for nothing, a twentieth of all that a small request costs.
 */
export function skipBodyRead(message: IncomingMessage, fields: Fields): void {
  if (hasBody(fields) || isStream(message) || isUpgrade(message)) return;
  const unread = message as unknown as Unread;
  unread._consuming = true;
  // Else its connection would hold on to it, and to the token in it, until the next one comes.
  unread._readableState.endEmitted = true;
}
