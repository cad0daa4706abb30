import { inspect } from 'node:util';
import { readTextFile } from '../model/text-file.js';
import { type Reread, type RereadFiles, rereading } from './reread.js';

const SHOWN = '[secret]';

/** A value that is never printed: not in a log, in an error, in JSON or by `inspect`. */
export class Secret {
  readonly #read: () => string;
  readonly #files: RereadFiles | undefined;

  /** @param value the secret, or a function that reads it at each use */
  constructor(value: string | Reread<string>) {
    this.#read = typeof value === 'string' ? () => value : value;
    this.#files = typeof value === 'string' ? undefined : value.files;
  }

  /** The file that it is read from, if it is. */
  get files(): RereadFiles | undefined {
    return this.#files;
  }

  /** Returns the value itself. Call it only where the value is sent. */
  reveal(): string {
    return this.#read();
  }

  toString(): string {
    return SHOWN;
  }

  toJSON(): string {
    return SHOWN;
  }

  [inspect.custom](): string {
    return SHOWN;
  }
}

/**
 * Reads a secret from a file. The newline that editors and `echo` write at the end is removed. If the file is
 * replaced later, the new content is used, so secrets can be rotated. If the file becomes unusable, the last
 * value stays in use.
 *
 * @throws Error if the file cannot be read, is not UTF-8, is empty, or holds a character that a header field
 *   cannot carry
 */
export function readSecret(file: string): Secret {
  return new Secret(rereading([file], () => readValue(file)));
}

function readValue(file: string): string {
  const value = readTextFile(file).replace(/\r?\n$/, '');
  if (value === '') throw new Error('the file is empty');
  if (value.includes('\ufeff'))
    throw new Error('the file contains an invisible character (U+FEFF) in the secret');
  if (/[\u0000-\u001f\u007f]/.test(value))
    throw new Error('the file contains control characters or several lines');
  return value;
}
