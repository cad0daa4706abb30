import { InvalidResponse, type ResponseHead, readField } from './response-head.js';

/** The longest line between two chunks, with its extensions, and the largest trailer section, in bytes. */
const MAX_LINE = 1_024;
const MAX_TRAILERS = 16_384;
const LF = 0x0a;

/** Receives a piece of a body. The caller reuses the bytes, so a receiver that keeps them must copy them. */
export type Piece = (bytes: Buffer) => void;

/** How the body of a response is delimited, and how far it has been read (RFC 9112 §6.3). */
export interface Body {
  /** Whether the whole body has been read. */
  readonly ended: boolean;
  /** Whether the body ends with the connection. */
  readonly endsWithConnection: boolean;
  /** The trailer fields after the body: name, value, name, value … */
  readonly trailers: readonly string[];
  /**
   * Reads further bytes.
   *
   * @returns how many of the bytes belong to the body
   * @throws InvalidResponse
   */
  read(bytes: Buffer, piece: Piece): number;
}

/** Whether a response has no content, whatever its head says (RFC 9110 §8.6, §15.4.5). */
export function hasNoBody(method: string, status: number): boolean {
  return method === 'HEAD' || status === 204 || status === 304;
}

/**
 * The body that follows a head.
 *
 * @param method the method of the request
 */
export function bodyOf(head: ResponseHead, method: string): Body {
  const { status, length, chunked } = head;
  if (hasNoBody(method, status)) return NO_BODY;
  if (chunked) return new Chunked();
  if (length !== undefined) return length === 0 ? NO_BODY : new Counted(length);
  return UNFRAMED;
}

const NONE: readonly string[] = [];

const NO_BODY: Body = { ended: true, endsWithConnection: false, trailers: NONE, read: () => 0 };

/** A body that ends with the connection. */
const UNFRAMED: Body = {
  ended: false,
  endsWithConnection: true,
  trailers: NONE,
  read(bytes, piece) {
    piece(bytes);
    return bytes.length;
  },
};

/** A body whose length is in Content-Length. */
class Counted implements Body {
  readonly endsWithConnection = false;
  readonly trailers = NONE;
  #left: number;

  constructor(length: number) {
    this.#left = length;
  }

  get ended(): boolean {
    return this.#left === 0;
  }

  read(bytes: Buffer, piece: Piece): number {
    const count = Math.min(bytes.length, this.#left);
    this.#left -= count;
    piece(count === bytes.length ? bytes : bytes.subarray(0, count));
    return count;
  }
}

/** RFC 9112 §7.1: the part that is read next. */
type Next = 'size' | 'data' | 'end of data' | 'trailer' | 'nothing';

/** A chunked body, read strictly. */
class Chunked implements Body {
  readonly endsWithConnection = false;
  readonly trailers: string[] = [];
  readonly #names: string[] = [];
  #next: Next = 'size';
  /** Bytes left in the current chunk. */
  #left = 0;
  /** The incomplete line so far. */
  #line = '';
  #trailerBytes = 0;

  get ended(): boolean {
    return this.#next === 'nothing';
  }

  read(bytes: Buffer, piece: Piece): number {
    let at = 0;
    while (at < bytes.length && this.#next !== 'nothing') {
      if (this.#next === 'data') {
        const count = Math.min(bytes.length - at, this.#left);
        piece(bytes.subarray(at, at + count));
        at += count;
        this.#left -= count;
        if (this.#left === 0) this.#next = 'end of data';
        continue;
      }
      const lf = bytes.indexOf(LF, at);
      const end = lf === -1 ? bytes.length : lf + 1;
      this.#line += bytes.toString('latin1', at, end);
      at = end;
      const longest = this.#next === 'trailer' ? MAX_TRAILERS : MAX_LINE;
      if (this.#line.length > longest)
        throw new InvalidResponse('a chunk size or trailer line that is too long');
      if (lf !== -1) this.#take(wholeLine(this.#line));
    }
    return at;
  }

  #take(line: string): void {
    this.#line = '';
    switch (this.#next) {
      case 'size':
        this.#left = sizeOf(line);
        this.#next = this.#left === 0 ? 'trailer' : 'data';
        return;
      case 'end of data':
        if (line !== '') throw new InvalidResponse('a chunk that is longer than its size');
        this.#next = 'size';
        return;
      default:
        if (line === '') {
          this.#next = 'nothing';
          return;
        }
        this.#trailerBytes += line.length;
        if (this.#trailerBytes > MAX_TRAILERS) throw new InvalidResponse('too many trailer fields');
        readField(line, this.trailers, this.#names);
    }
  }
}

/**
 * Removes the end of a line, which must be CR LF. The line must not contain control characters, which some
 * parsers read as a line end.
 */
function wholeLine(line: string): string {
  if (!line.endsWith('\r\n') || /[\x00-\x08\x0a-\x1f\x7f]/.test(line.slice(0, -2)))
    throw new InvalidResponse('a control character, or a line end that is not CR LF, between chunks');
  return line.slice(0, -2);
}

/**
 * RFC 9112 §7.1: hexadecimal digits, then extensions, which are ignored. Blanks may only be before an
 * extension.
 */
function sizeOf(line: string): number {
  const size = /^([0-9A-Fa-f]{1,13})(?:[ \t]*;.*)?$/.exec(line)?.[1];
  if (size === undefined)
    throw new InvalidResponse('a chunk size that is not a hexadecimal number, or is followed by spaces');
  return Number.parseInt(size, 16);
}
