import type { IncomingMessage } from 'node:http';
import type { ErrorName } from '../errors.js';
import { type Fields, readFields } from './fields.js';
import { canonicalTarget, type Target } from './target.js';

/** A request that is well-formed enough to be decided about. */
export interface Arrival {
  readonly fields: Fields;
  readonly target: Target;
}

/** Why a request is refused before any rule is asked. */
export interface ArrivalRefusal {
  readonly error: ErrorName;
  readonly refused: string;
}

/**
 * Reads what arrived, as strictly as a gateway must: what this function lets through has one meaning.
 *
 * @param rawTarget the request-target exactly as received
 * @param maxTargetBytes longer ones are answered 414 (RFC 9112 §3)
 */
export function readArrival(
  message: IncomingMessage,
  rawTarget: string,
  maxTargetBytes: number,
): Arrival | ArrivalRefusal {
  const { httpVersion: version, method } = message;
  // Node's parser lets HTTP/0.9 and a textual HTTP/2.0 through; only a message of real HTTP/2 has a stream.
  if (version !== '1.1' && version !== '1.0' && !(version === '2.0' && isStream(message))) {
    return { error: 'malformed_request', refused: 'the HTTP version is not served' };
  }
  // RFC 9110 §9.3.8: TRACE would echo credentials; §9.3.6: CONNECT would open a tunnel.
  if (method === 'TRACE' || method === 'CONNECT')
    return { error: 'method_refused', refused: `${method} is not served` };
  if (rawTarget.length > maxTargetBytes)
    return { error: 'target_too_long', refused: 'the request target is too long' };
  const fields = readFields(message.rawHeaders, version);
  if ('refused' in fields) return fields;
  const target = canonicalTarget(rawTarget, fields.host);
  if ('refused' in target) return { error: 'malformed_target', refused: target.refused };
  return { fields, target };
}

/**
 * Whether Node has handed the connection over for an upgrade, which it does where Connection asks for it too. An Upgrade
 * that Connection does not name is no more than a field of the connection.
 */
export function isUpgrade(message: IncomingMessage): boolean {
  return (message as { upgrade?: boolean | null }).upgrade === true;
}

/**
 * Whether a connection ends with a request (RFC 9112 §9.3). Node's parser lets `keep-alive` win over `close` in
 * HTTP/1.0, and takes Proxy-Connection for Connection.
 */
export function endsConnection(message: IncomingMessage, { connection }: Fields): boolean {
  if (connection === undefined) return message.httpVersion === '1.0';
  return (
    connection.includes('close') || (message.httpVersion === '1.0' && !connection.includes('keep-alive'))
  );
}

/** Whether a message is one stream of an HTTP/2 connection: other streams are none of its affair. */
export function isStream(message: IncomingMessage): boolean {
  return 'stream' in message;
}

/**
 * Whether a request is a WebSocket handshake (RFC 6455 §4.2.1). An Upgrade that is none is ignored and the request
 * served as what it is without it (RFC 9110 §7.8).
 */
export function isWebSocket(message: IncomingMessage): boolean {
  const { headers } = message;
  return (
    isUpgrade(message) &&
    message.method === 'GET' &&
    message.httpVersion === '1.1' &&
    headers.upgrade?.toLowerCase() === 'websocket' &&
    headers['sec-websocket-version'] === '13' &&
    /^[A-Za-z0-9+/]{22}==$/.test(String(headers['sec-websocket-key'] ?? ''))
  );
}
