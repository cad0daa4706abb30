import { readFileSync } from 'node:fs';
import { inspect } from 'node:util';

const SHOWN = '[secret]';

/** A value that never prints: not in a log, an error, JSON or the debugger's `inspect`. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The value itself; call it only where it is sent. */
  reveal(): string {
    return this.#value;
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
 * Reads a secret from a file; the newline that editors and `echo` leave at its end is no part of it.
 *
 * @throws Error when the file cannot be read, is empty, or holds what no header field could carry
 */
export function readSecret(file: string): Secret {
  const value = readFileSync(file, 'utf8').replace(/\r?\n$/, '');
  if (value === '') throw new Error('the file is empty');
  if (/[\u0000-\u001f\u007f]/.test(value))
    throw new Error('the file holds control characters or several lines');
  return new Secret(value);
}
