import type { IncomingMessage } from 'node:http';
import { isStream, isUpgrade } from './arrival.js';
import type { Fields } from './fields.js';

/**
 * Spares a request that has no body the life of a stream. Once a request is answered, Node pulls what is left of its
 * body off the wire, unless somebody has begun to read it: where none was declared, that is two turns of the event
 * loop and three events for nothing, a twentieth of all that a small request costs. The flag is Node's own, from version
 * 20 to 24; without it all is as it was.
 */
export function spareReading(message: IncomingMessage, { chunked, contentLength }: Fields): void {
  if (chunked || (contentLength ?? 0) > 0 || isStream(message) || isUpgrade(message)) return;
  (message as unknown as { _consuming: boolean })._consuming = true;
}
