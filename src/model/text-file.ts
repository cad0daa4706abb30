import { readFileSync } from 'node:fs';

/** The content of a file is not UTF-8. The message contains nothing of the content. */
export class NotText extends Error {
  constructor() {
    super('the file is not UTF-8 text');
    this.name = 'NotText';
  }
}

/**
 * Drops the byte order mark, which Windows editors and shells put before the text, where users do not see it.
 */
const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Decodes the content of a file as UTF-8, without the byte order mark that it may begin with.
 *
 * @returns the text
 * @throws NotText if the content is not UTF-8: with replacement characters, half of a secret or a wrong name
 *   would be used silently
 */
export function decodeText(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new NotText();
  }
}

/**
 * Reads a file of settings, rules, secrets or keys.
 *
 * @returns the text, without a byte order mark
 * @throws NotText if it is not UTF-8; an error of the system if it cannot be read
 */
export function readTextFile(file: string): string {
  return decodeText(readFileSync(file));
}

/**
 * Reads a file of certificates or keys (PEM, RFC 7468). It removes the byte order mark, because the parser
 * would skip the first certificate otherwise. Text outside the encapsulated parts is a comment, in any
 * encoding.
 *
 * @throws an error of the system if the file cannot be read
 */
export function readPemFile(file: string): string {
  return readFileSync(file, 'utf8').replace(/^\ufeff/, '');
}
