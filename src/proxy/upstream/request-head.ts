import type { Socket } from 'node:net';
import { SAFE_METHODS } from '../../model/methods.js';
import { isFieldName } from '../../parse/field-names.js';
import { FIELD_VALUE, TOKEN } from '../../parse/grammar.js';
import type { RequestBody } from '../request-body.js';
import type { ResponseHead } from './response-head.js';

/** One request to write to an upstream. */
export interface UpstreamRequest {
  readonly method: string;
  /** The path with the query. */
  readonly path: string;
  /** Name, value, name, value …; without the fields that frame the body. */
  readonly fields: readonly string[];
  readonly body: RequestBody | undefined;
  /** The length of the body in bytes; undefined if it is not known in advance. */
  readonly length: number | undefined;
  /** Milliseconds within which the response must begin; 0 means no limit. */
  readonly timeout: number;
  /** Undefined if the request asks for no other protocol. */
  readonly upgrade?: Upgrade | undefined;
}

/** A protocol that a request asks to switch its connection to (RFC 9110 §7.8). */
export interface Upgrade {
  /** The value of the Upgrade field. */
  readonly protocol: string;
  /**
   * Takes over the connection after the upstream has answered 101.
   *
   * @param early what was read after the response head
   * @returns a function that gets everything read from then on
   * @throws Interrupted if the response does not match the handshake; it is then handled as an invalid
   *   response
   */
  accept(head: ResponseHead, socket: Socket, early: Buffer): (bytes: Buffer) => void;
}

/** A request that cannot be written safely: the upstream would read it as another request. */
export class UnsendableRequest extends Error {
  readonly code = 'unsendable';
  /** @param message which part is invalid, without its content */
  constructor(message: string) {
    super(message);
    this.name = 'UnsendableRequest';
  }
}

const PATH = /^\/[\x21-\x7e]*$/;

/**
 * Methods whose requests upstreams expect to have a body. With other methods, a body means that the
 * connection is not reused (RFC 9110 §9.3).
 */
const WITH_BODY: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH']);

/**
 * Writes the head of a request (RFC 9112 §3). It checks the client's and the mutators' values again, so that
 * no value can contain the end of its line.
 *
 * @throws UnsendableRequest
 */
export function writeHead({ method, path, fields, body, length, upgrade }: UpstreamRequest): string {
  if (!TOKEN.test(method)) throw new UnsendableRequest('the method is not a token');
  if (!PATH.test(path)) throw new UnsendableRequest('the path contains a character that is not allowed');
  let text = `${method} ${path} HTTP/1.1\r\n`;
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = fields[i] as string;
    const value = fields[i + 1] as string;
    if (!isFieldName(name)) throw new UnsendableRequest('a field name is not a token');
    if (!FIELD_VALUE.test(value))
      throw new UnsendableRequest('a field value contains a character that is not allowed');
    text += `${name}: ${value}\r\n`;
  }
  if (body !== undefined) {
    text += length === undefined ? 'transfer-encoding: chunked\r\n' : `content-length: ${length}\r\n`;
  } else if (WITH_BODY.has(method)) {
    text += 'content-length: 0\r\n';
  }
  if (upgrade !== undefined) return `${text}upgrade: ${upgrade.protocol}\r\nconnection: Upgrade\r\n\r\n`;
  return `${text}connection: keep-alive\r\n\r\n`;
}

/**
 * Whether the connection may carry another request after this one. Some servers send a body after HEAD, or do
 * not read the body of a method that does not use one. The remaining bytes would then be read as the next
 * message. If an upstream refuses an Upgrade, a server behind it may still have accepted it.
 */
export function keepsFraming({ method, body, upgrade }: UpstreamRequest): boolean {
  return upgrade === undefined && method !== 'HEAD' && (body === undefined || WITH_BODY.has(method));
}

/** Whether the request can be sent twice without a different effect (RFC 9110 §9.2.2). */
export function mayRepeat({ method, body }: UpstreamRequest): boolean {
  return body === undefined && SAFE_METHODS.has(method);
}

/**
 * Writes a piece of a request body, as a chunk if the length of the body is unknown (RFC 9112 §7.1).
 *
 * @returns whether the upstream accepts more at once
 */
export function writePiece(socket: Socket, piece: Buffer, chunked: boolean): boolean {
  if (!chunked) return socket.write(piece);
  socket.cork();
  socket.write(`${piece.length.toString(16)}\r\n`, 'latin1');
  socket.write(piece);
  const more = socket.write('\r\n', 'latin1');
  socket.uncork();
  return more;
}
