import type { Readable } from 'node:stream';
import { type Fields, singleField } from './fields.js';

/** Reads a request's body before the request is forwarded. */
export interface BodyReader {
  /**
   * @param length the declared length of the body, in bytes
   * @returns the body; undefined if it did not arrive completely
   */
  readBody(length: number): Promise<Buffer | undefined> | Buffer | undefined;
}

/** The longest form that is searched for a token, in bytes. */
export const MAX_FORM_BYTES = 16_384;
/** How long the client may take to send a form, in milliseconds. */
const PATIENCE = 5_000;
/** Methods whose content has a defined meaning (RFC 9110 §9.3). */
const METHODS: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH']);
const TYPE = /^application\/x-www-form-urlencoded(?:[ \t]*;[ \t]*charset="?(?:utf-8|us-ascii)"?)?$/i;

/**
 * The length of a request's form, if the form may contain a token (RFC 6750 §2.2). The method must have
 * content, the type must be the single-part form type, and the body must not be encoded. The length must be
 * declared and bounded. The client must not be waiting for `100 Continue`.
 *
 * @returns the length in bytes; undefined if the form cannot contain a token
 */
export function formLength(method: string, fields: Fields): number | undefined {
  const { contentLength: length } = fields;
  const type = singleField(fields, 'content-type');
  if (length === undefined || length === 0 || length > MAX_FORM_BYTES) return undefined;
  if (!METHODS.has(method) || typeof type !== 'string' || !TYPE.test(type)) return undefined;
  if (fields.expectsContinue || fields.names.includes('content-encoding')) return undefined;
  return length;
}

/**
 * Reads a body and puts it back unchanged, so that the next reader of the message gets the same bytes.
 *
 * @param length its declared length, in bytes
 * @returns the body; undefined if it does not arrive completely, or takes too long
 */
export function holdBody(message: Readable, length: number): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let held = 0;
    const settle = (): void => {
      clearTimeout(timer);
      message.off('readable', take).off('close', settle).off('error', settle);
      const body = Buffer.concat(chunks);
      // Put the body back now, before Node notices that the stream is empty and emits `end`.
      if (held > 0 && !message.destroyed) message.unshift(body);
      resolve(held === length ? body : undefined);
    };
    const take = (): void => {
      for (let chunk = message.read(); chunk !== null; chunk = message.read()) {
        chunks.push(chunk as Buffer);
        held += (chunk as Buffer).length;
      }
      if (held >= length) settle();
    };
    const timer = setTimeout(settle, PATIENCE);
    message.on('readable', take).on('close', settle).on('error', settle);
    take();
  });
}
