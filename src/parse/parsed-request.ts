import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import type { Socket } from 'node:net';
import { type Fields, type FieldsRefusal, pseudoField, readFields } from './fields.js';
import { canonicalTarget, type Target } from './target.js';

/** A request that is well-formed, so that a rule can decide about it. */
export interface ParsedRequest {
  readonly fields: Fields;
  readonly target: Target;
}

/** Sizes in bytes. */
export interface RequestLimits {
  /** Longer request-targets are answered 414 (RFC 9112 §3). */
  readonly maxTargetBytes: number;
  /** Larger header sections are answered 431, if Node's parser has not refused them already. */
  readonly maxHeaderBytes: number;
}

/** Why a request is refused before scopegate looks for a rule. */
export interface RequestRefusal {
  /** The row of the error table. */
  readonly error: FieldsRefusal['error'] | 'malformed_target' | 'method_refused' | 'target_too_long';
  readonly refused: string;
}

/**
 * Parses a request strictly: every request that passes has exactly one interpretation.
 *
 * @param rawTarget the request-target exactly as received
 */
export function parseRequest(
  message: IncomingMessage,
  rawTarget: string,
  { maxTargetBytes, maxHeaderBytes }: RequestLimits,
): ParsedRequest | RequestRefusal {
  const { httpVersion: version, method } = message;
  // Node's parser accepts HTTP/0.9 and an HTTP/1 request line that says `HTTP/2.0`. Only a real HTTP/2
  // request has a stream.
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

/**
 * Checks an HTTP/2 request against its stream and connection, and reads how its body is framed (RFC 9113
 * §8.1, §8.3.1).
 */
function framedBy(
  message: IncomingMessage & Http2ServerRequest,
  fields: Fields,
  maxHeaderBytes: number,
): Fields | RequestRefusal {
  const { rawHeaders, stream } = message;
  // SETTINGS_MAX_HEADER_LIST_SIZE is only advice to the client, and nghttp2 does not enforce it before the
  // client has acknowledged it.
  if (rawHeaders.reduce((bytes, text) => bytes + text.length + FIELD_OVERHEAD / 2, 0) > maxHeaderBytes)
    return { error: 'headers_too_large', refused: 'the header fields are too large' };
  // HTTP/2 has no absolute form: the authority has a field of its own.
  if (pseudoField(rawHeaders, ':path')?.startsWith('/') !== true)
    return { error: 'malformed_target', refused: 'the request target is not a path' };
  const { encrypted = false } = connectionOf(message) as { encrypted?: boolean };
  if (pseudoField(rawHeaders, ':scheme') !== (encrypted ? 'https' : 'http'))
    return {
      error: 'malformed_request',
      refused: 'the :scheme of the request is not that of its connection',
    };
  const { contentLength } = fields;
  if (stream.endAfterHeaders && (contentLength ?? 0) > 0)
    return {
      error: 'malformed_request',
      refused: 'the request declares a body with Content-Length but sends none',
    };
  return { ...fields, chunked: contentLength === undefined && !stream.endAfterHeaders };
}

/** Bytes that each field counts in addition to its name and value (RFC 9113 §6.5.2). */
const FIELD_OVERHEAD = 32;

/**
 * Whether Node has handed the connection over for an upgrade. Node does so only if Connection lists `upgrade`
 * as well. An Upgrade field that Connection does not list is only a hop-by-hop field.
 */
export function isUpgrade(message: IncomingMessage): boolean {
  return (message as { upgrade?: boolean | null }).upgrade === true;
}

/**
 * Whether the connection closes after this request (RFC 9112 §9.3). Node's own answer is not used: in
 * HTTP/1.0 its parser lets `keep-alive` override `close`, and it reads Proxy-Connection as Connection.
 */
export function endsConnection(message: IncomingMessage, { connection }: Fields): boolean {
  if (connection === undefined) return message.httpVersion === '1.0';
  return (
    connection.includes('close') || (message.httpVersion === '1.0' && !connection.includes('keep-alive'))
  );
}

/** Whether a message is an HTTP/2 stream. Its connection carries other streams, which it must not affect. */
export function isStream(message: IncomingMessage): message is IncomingMessage & Http2ServerRequest {
  return 'stream' in message;
}

/** The connection that a request arrived on; HTTP/2 streams share one. */
export function connectionOf(message: IncomingMessage): Socket {
  return isStream(message) ? ((message.stream.session?.socket as Socket) ?? message.socket) : message.socket;
}

/**
 * The Sec-WebSocket-Key of a WebSocket handshake (RFC 6455 §4.2.1); undefined for any other request. The
 * upstream checks the rest of the handshake, for example the version (§4.2.2). Other Upgrade fields are
 * ignored, and the request is served as if it had none (RFC 9110 §7.8).
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
  // 16 bytes in Base64. Node joins a second key with a comma, which this pattern does not allow.
  return isHandshake && typeof key === 'string' && /^[A-Za-z0-9+/]{22}==$/.test(key) ? key : undefined;
}
