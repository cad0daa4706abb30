import { inspect } from 'node:util';
import { readTextFile } from '../model/text-file.js';
import { rereading } from './reread.js';

const SHOWN = '[secret]';

/** A value that never prints: not in a log, an error, JSON or the debugger's `inspect`. */
export class Secret {
  readonly #read: () => string;

  /** @param value the secret, or what reads it at each use */
  constructor(value: string | (() => string)) {
    this.#read = typeof value === 'string' ? () => value : value;
  }

  /** The value itself; call it only where it is sent. */
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
 * Takes a secret from a file; the newline that editors and `echo` leave at its end is no part of it. A file that is
 * replaced later counts from then on, as rotated secrets are; one that became unusable leaves the last value in force.
 *
 * @throws Error when the file cannot be read, is not UTF-8, is empty, or holds what no header field could carry
 */
export function readSecret(file: string): Secret {
  return new Secret(rereading([file], () => readValue(file)));
}

function readValue(file: string): string {
  const value = readTextFile(file).replace(/\r?\n$/, '');
  if (value === '') throw new Error('the file is empty');
  if (value.includes('\ufeff')) throw new Error('the file holds an invisible character within the secret');
  if (/[\u0000-\u001f\u007f]/.test(value))
    throw new Error('the file holds control characters or several lines');
  return value;
}
