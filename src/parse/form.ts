import type { Readable } from 'node:stream';
import { type Fields, singleField } from './fields.js';

/** Hands out a request's body before it is forwarded. */
export interface BodyReader {
  /**
   * @param length the declared length of the body, in bytes
   * @returns undefined where the body did not come whole
   */
  readBody(length: number): Promise<Buffer | undefined> | Buffer | undefined;
}

/** A longer form is not looked into, in bytes. */
export const MAX_FORM_BYTES = 16_384;
/** How long a form may take to come, in milliseconds. */
const PATIENCE = 5_000;
/** Methods whose content means something (RFC 9110 §9.3). */
const METHODS: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH']);
const TYPE = /^application\/x-www-form-urlencoded(?:[ \t]*;[ \t]*charset="?(?:utf-8|us-ascii)"?)?$/i;

/**
 * The length of a request's form, where it may hold a token: of the one type that may, single-part, not encoded, of a
 * method that has content (RFC 6750 §2.2), of a declared and bounded length, and not held back until the client is
 * told to go on.
 *
 * @returns undefined where it may not
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
 * Reads a body and puts it back, byte for byte: whoever reads the message next finds it as it came.
 *
 * @param length its declared length, in bytes
 * @returns undefined where it does not come whole, or takes too long
 */
export function holdBody(message: Readable, length: number): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let held = 0;
    const settle = (): void => {
      clearTimeout(timer);
      message.off('readable', take).off('close', settle).off('error', settle);
      const body = Buffer.concat(chunks);
      // Before Node finds that nothing is left, and tells of the end.
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
