import { createHash } from 'node:crypto';
import { fieldList } from '../../parse/fields.js';
import { type Overlay, responseFields } from '../response-headers.js';
import { Interrupted } from '../upstream/interrupted.js';
import type { ResponseHead } from '../upstream/response-head.js';

/** RFC 6455 §1.3. */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** The cause of a 101 that does not switch to WebSocket. */
const NOT_SWITCHED = 'websocket_not_switched';
/** The cause of a 101 whose Sec-WebSocket-Accept does not match the key. */
const NOT_ACCEPTED = 'websocket_not_accepted';

/** The Sec-WebSocket-Accept that belongs to a Sec-WebSocket-Key (RFC 6455 §4.2.2). */
export function acceptOf(key: string): string {
  return createHash('sha1').update(key).update(GUID).digest('base64');
}

/**
 * Checks that a 101 accepts exactly the WebSocket handshake that was sent (RFC 6455 §4.1). The relayed bytes
 * after it are no longer HTTP, so the upstream, and any proxy before it, must have switched as well.
 *
 * @param key the client's Sec-WebSocket-Key
 * @throws Interrupted
 */
export function checkSwitch(head: ResponseHead, key: string): void {
  const upgrades = valuesOf(head, 'upgrade');
  if (
    upgrades.length !== 1 ||
    upgrades[0]?.toLowerCase() !== 'websocket' ||
    !head.persistent ||
    !switches(head)
  )
    throw new Interrupted(NOT_SWITCHED);
  const accepts = valuesOf(head, 'sec-websocket-accept');
  const accept = acceptOf(key);
  if (accepts.length === 0 || accepts.some((value) => value !== accept)) throw new Interrupted(NOT_ACCEPTED);
}

/**
 * Writes the client's 101 with the upstream's fields. It has no field that could frame a body, because no
 * body follows.
 *
 * @param key the client's Sec-WebSocket-Key
 * @param overlay the fields that scopegate itself sets
 * @returns Latin-1
 */
export function writeSwitch(head: ResponseHead, key: string, overlay: Overlay): string {
  let text = 'HTTP/1.1 101 Switching Protocols\r\n';
  const { fields } = responseFields(head, overlay);
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = fields[i] as string;
    if (!OWN.has(name.toLowerCase())) text += `${name}: ${fields[i + 1]}\r\n`;
  }
  return `${text}Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${acceptOf(key)}\r\n\r\n`;
}

/** Fields that scopegate writes itself, or that a 101 must not have (RFC 9110 §8.6). */
const OWN: ReadonlySet<string> = new Set(['content-length', 'sec-websocket-accept']);

function valuesOf({ names, fields }: ResponseHead, name: string): string[] {
  return names.flatMap((each, i) => (each === name ? [fields[i * 2 + 1] as string] : []));
}

/** Whether Connection lists `upgrade` (RFC 9110 §7.8). */
function switches(head: ResponseHead): boolean {
  return valuesOf(head, 'connection').some((value) => fieldList(value).includes('upgrade'));
}
