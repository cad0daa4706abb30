import { InvalidResponse, type ResponseHead, readField } from './response-head.js';

/** The longest line between two chunks, with its extensions, and the longest trailer section, in bytes. */
const MAX_LINE = 1_024;
const MAX_TRAILERS = 16_384;
const LF = 0x0a;

/** Takes a piece of a body. The bytes are the giver's: whoever keeps them copies them. */
export type Piece = (bytes: Buffer) => void;

/** How the body of an answer is delimited, and how far it has been read (RFC 9112 §6.3). */
export interface Body {
  /** Whether all of it has been read. */
  readonly ended: boolean;
  /** Whether the end of the connection is the end of it. */
  readonly endsWithConnection: boolean;
  /** The trailer fields after it: name, value, name, value … */
  readonly trailers: readonly string[];
  /**
   * Reads on.
   *
   * @returns how many of the bytes belong to it
   * @throws InvalidResponse
   */
  read(bytes: Buffer, piece: Piece): number;
}

/** Whether no content follows, whatever a head says of it (RFC 9110 §8.6, §15.4.5). */
export function hasNoBody(method: string, status: number): boolean {
  return method === 'HEAD' || status === 204 || status === 304;
}

/**
 * What body follows a head.
 *
 * @param method of the request
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

/** As long as the connection lasts. */
const UNFRAMED: Body = {
  ended: false,
  endsWithConnection: true,
  trailers: NONE,
  read(bytes, piece) {
    piece(bytes);
    return bytes.length;
  },
};

/** As long as Content-Length says. */
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

/** RFC 9112 §7.1: what is read next. */
type Next = 'size' | 'data' | 'end of data' | 'trailer' | 'nothing';

/** In chunks, read as strictly as it was written. */
class Chunked implements Body {
  readonly endsWithConnection = false;
  readonly trailers: string[] = [];
  readonly #names: string[] = [];
  #next: Next = 'size';
  /** Of the chunk at hand, in bytes. */
  #left = 0;
  /** What has come of a line. */
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

/** Without its end, which must be one of HTTP, and with nothing in it that could be taken for another. */
function wholeLine(line: string): string {
  if (!line.endsWith('\r\n') || /[\x00-\x08\x0a-\x1f\x7f]/.test(line.slice(0, -2)))
    throw new InvalidResponse('a control character, or a line end that is not CR LF, between chunks');
  return line.slice(0, -2);
}

/** RFC 9112 §7.1: hexadecimal digits, and extensions that mean nothing here; blanks may stand before those alone. */
function sizeOf(line: string): number {
  const size = /^([0-9A-Fa-f]{1,13})(?:[ \t]*;.*)?$/.exec(line)?.[1];
  if (size === undefined)
    throw new InvalidResponse('a chunk size that is no hexadecimal number, or has blanks behind it');
  return Number.parseInt(size, 16);
}
