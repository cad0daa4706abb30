import type { IncomingMessage, ServerResponse } from 'node:http';
import { lowerName } from '../parse/field-names.js';
import { isStream } from '../parse/parsed-request.js';

/**
 * Passes the links of an upstream's 103 Early Hints (RFC 8297) on to the client, if the client's protocol has
 * interim responses.
 *
 * @param fields the fields of the 103: name, value, name, value …
 */
export function passEarlyHints(
  message: IncomingMessage,
  response: ServerResponse,
  fields: readonly string[],
): void {
  const links = fields.filter((_, i) => i % 2 === 1 && lowerName(fields[i - 1] as string) === 'link');
  if (links.length === 0 || message.httpVersion === '1.0') return;
  // An earlier response still uses the connection; early hints would be written into it.
  if (!isStream(message) && response.socket === null) return;
  try {
    response.writeEarlyHints({ link: links });
  } catch {
    // Node accepts only links of the usual form. Early hints are optional, so others are dropped.
  }
}
