import type { Socket } from 'node:net';
import { SAFE_METHODS } from '../../model/methods.js';
import { isFieldName } from '../../parse/field-names.js';
import { FIELD_VALUE, TOKEN } from '../../parse/grammar.js';
import type { RequestBody } from '../request-body.js';
import type { ResponseHead } from './response-head.js';

/** One request as it is to be written to an upstream. */
export interface UpstreamRequest {
  readonly method: string;
  /** The path with the query. */
  readonly path: string;
  /** Name, value, name, value …; what frames the body is not among them. */
  readonly fields: readonly string[];
  readonly body: RequestBody | undefined;
  /** The length of the upload in bytes; undefined where it is not known before its end. */
  readonly length: number | undefined;
  /** Milliseconds until the answer must have begun; 0 for no limit. */
  readonly timeout: number;
  /** Undefined keeps to HTTP. */
  readonly upgrade?: Upgrade | undefined;
}

/** Another protocol that a request asks its connection to become (RFC 9110 §7.8). */
export interface Upgrade {
  /** What the Upgrade field says. */
  readonly protocol: string;
  /**
   * Takes the connection over once the upstream has answered 101.
   *
   * @param early what has been read behind the answer's head
   * @returns takes what is read from then on
   * @throws Interrupted where the answer does not say what was asked for: it is refused then, as any that is invalid
   */
  accept(head: ResponseHead, socket: Socket, early: Buffer): (bytes: Buffer) => void;
}

/** A request that cannot be written without becoming another one. */
export class UnsendableRequest extends Error {
  readonly code = 'unsendable';
  /** @param message what of it; nothing of what it holds */
  constructor(message: string) {
    super(message);
    this.name = 'UnsendableRequest';
  }
}

const PATH = /^\/[\x21-\x7e]*$/;

/** Methods whose requests upstreams expect a body with; others with one end their connection (RFC 9110 §9.3). */
const WITH_BODY: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH']);

/**
 * Writes the head of a request (RFC 9112 §3). What was read and what mutators made is checked once more where it is
 * written: no value can end its line.
 *
 * @throws UnsendableRequest
 */
export function writeHead({ method, path, fields, body, length, upgrade }: UpstreamRequest): string {
  if (!TOKEN.test(method)) throw new UnsendableRequest('the method is no token');
  if (!PATH.test(path)) throw new UnsendableRequest('the path is none');
  let text = `${method} ${path} HTTP/1.1\r\n`;
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = fields[i] as string;
    const value = fields[i + 1] as string;
    if (!isFieldName(name)) throw new UnsendableRequest('a field name is no token');
    if (!FIELD_VALUE.test(value)) throw new UnsendableRequest('a field value is none');
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
 * Whether the connection of a request may carry another one after it. Servers are known that send a body after HEAD,
 * or read none with a method that has no use for it: what is left over would be taken for the next message. And what
 * stands behind an upstream that refuses an Upgrade may have taken it.
 */
export function keepsFraming({ method, body, upgrade }: UpstreamRequest): boolean {
  return upgrade === undefined && method !== 'HEAD' && (body === undefined || WITH_BODY.has(method));
}

/** Whether nothing is different for an upstream that gets the same request twice (RFC 9110 §9.2.2). */
export function mayRepeat({ method, body }: UpstreamRequest): boolean {
  return body === undefined && SAFE_METHODS.has(method);
}

/**
 * Writes a piece of a request's body, in a chunk of its own where the body's length is not known (RFC 9112 §7.1).
 *
 * @returns whether the upstream takes more at once
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
