import { readFileSync } from 'node:fs';

/** What is read is not text as this program expects it; the message holds nothing of it. */
export class NotText extends Error {
  constructor() {
    super('the file is not UTF-8 text');
    this.name = 'NotText';
  }
}

/** The mark is dropped: editors and shells of Windows put it before what they write, and nobody sees it. */
const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * The text of a file: UTF-8, without the byte order mark that it may begin with.
 *
 * @throws NotText where it is in another encoding: half of a secret, or a name with replacement characters, would be used
 *   without a word
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
 * @throws NotText where it is not UTF-8; an error of the system where it cannot be read
 */
export function readTextFile(file: string): string {
  return decodeText(readFileSync(file));
}

/**
 * Reads a file of certificates or their keys (PEM, RFC 7468), without its byte order mark, with which the first of them
 * would be passed over. What stands outside of the encapsulated parts is a comment, in whatever encoding.
 *
 * @throws an error of the system where it cannot be read
 */
export function readPemFile(file: string): string {
  return readFileSync(file, 'utf8').replace(/^\ufeff/, '');
}
