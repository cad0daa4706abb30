import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import type { Socket } from 'node:net';
import { type Fields, type FieldsRefusal, pseudoField, readFields } from './fields.js';
import { canonicalTarget, type Target } from './target.js';

/** A request that is well-formed enough to be decided about. */
export interface ParsedRequest {
  readonly fields: Fields;
  readonly target: Target;
}

/** Sizes in bytes. */
export interface RequestLimits {
  /** Longer request-targets are answered 414 (RFC 9112 §3). */
  readonly maxTargetBytes: number;
  /** Larger header sections are answered 431, where Node's parser has not done so already. */
  readonly maxHeaderBytes: number;
}

/** Why a request is refused before any rule is asked. */
export interface RequestRefusal {
  /** The row of the error table. */
  readonly error: FieldsRefusal['error'] | 'malformed_target' | 'method_refused' | 'target_too_long';
  readonly refused: string;
}

/**
 * Reads what arrived, as strictly as a gateway must: what this function lets through has one meaning.
 *
 * @param rawTarget the request-target exactly as received
 */
export function parseRequest(
  message: IncomingMessage,
  rawTarget: string,
  { maxTargetBytes, maxHeaderBytes }: RequestLimits,
): ParsedRequest | RequestRefusal {
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
  const framed = isStream(message) ? framedBy(message, fields, maxHeaderBytes) : fields;
  if ('refused' in framed) return framed;
  const target = canonicalTarget(rawTarget, framed.host);
  if ('refused' in target) return { error: 'malformed_target', refused: target.refused };
  return { fields: framed, target };
}

/** What the stream says of a request of HTTP/2 (RFC 9113 §8.1, §8.3.1). */
function framedBy(
  message: IncomingMessage & Http2ServerRequest,
  fields: Fields,
  maxHeaderBytes: number,
): Fields | RequestRefusal {
  const { rawHeaders, stream } = message;
  // A client need not heed SETTINGS_MAX_HEADER_LIST_SIZE, and nghttp2 does not before it has been acknowledged.
  if (rawHeaders.reduce((bytes, text) => bytes + text.length + FIELD_OVERHEAD / 2, 0) > maxHeaderBytes)
    return { error: 'headers_too_large', refused: 'the header fields are too large' };
  // There is no absolute form here: the authority has a field of its own.
  if (pseudoField(rawHeaders, ':path')?.startsWith('/') !== true)
    return { error: 'malformed_target', refused: 'the request target is not a path' };
  const { encrypted = false } = connectionOf(message) as { encrypted?: boolean };
  if (pseudoField(rawHeaders, ':scheme') !== (encrypted ? 'https' : 'http'))
    return { error: 'malformed_request', refused: 'the scheme is not that of the connection' };
  const { contentLength } = fields;
  if (stream.endAfterHeaders && (contentLength ?? 0) > 0)
    return { error: 'malformed_request', refused: 'the body that is declared does not follow' };
  return { ...fields, chunked: contentLength === undefined && !stream.endAfterHeaders };
}

/** What a field counts besides its name and value (RFC 9113 §6.5.2). */
const FIELD_OVERHEAD = 32;

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
export function isStream(message: IncomingMessage): message is IncomingMessage & Http2ServerRequest {
  return 'stream' in message;
}

/** The connection that a request came on; streams of HTTP/2 share one. */
export function connectionOf(message: IncomingMessage): Socket {
  return isStream(message) ? ((message.stream.session?.socket as Socket) ?? message.socket) : message.socket;
}

/**
 * The Sec-WebSocket-Key of a WebSocket handshake (RFC 6455 §4.2.1); undefined for any other request. What else a handshake
 * must say is for the upstream to judge, its version among it (§4.2.2). An Upgrade that is none is ignored and the request
 * served as what it is without it (RFC 9110 §7.8).
 */
export function webSocketKey(message: IncomingMessage): string | undefined {
  const { headers } = message;
  const key = headers['sec-websocket-key'];
  const isHandshake =
    isUpgrade(message) &&
    message.method === 'GET' &&
    message.httpVersion === '1.1' &&
    headers.upgrade?.toLowerCase() === 'websocket' &&
    /^[0-9]{1,3}$/.test(String(headers['sec-websocket-version']));
  // 16 bytes in Base64. A second key would have been joined to it with a comma.
  return isHandshake && typeof key === 'string' && /^[A-Za-z0-9+/]{22}==$/.test(key) ? key : undefined;
}
