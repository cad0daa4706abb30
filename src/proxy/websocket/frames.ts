import { randomBytes } from 'node:crypto';

/** The two bytes that every header has: FIN, RSV and opcode; MASK and length (RFC 6455 §5.2). */
const SHORTEST_HEADER = 2;
/** With a length of 64 bits and a masking key. */
const LONGEST_HEADER = 14;
const OPCODE = 0x0f;
const CLOSE = 0x8;
const FIN = 0x80;
const MASK = 0x80;
const LENGTH = 0x7f;
const LENGTH_OF_16_BITS = 126;
const LENGTH_OF_64_BITS = 127;
/** RFC 6455 §5.2: the most significant bit of a length of 64 bits must be 0. */
const TOO_LONG = 0x80;
const MASKING_KEY = 4;
/** RFC 6455 §5.5: what a control frame may hold, in bytes. */
const LONGEST_CONTROL = 125;
/** A status code comes before the reason in a Close frame (RFC 6455 §5.5.1). */
const STATUS_CODE = 2;

/**
 * Knows where the frames of one direction of a WebSocket end (RFC 6455 §5.2). It reads headers for their length and mask
 * alone: what the endpoints make of opcodes, reserved bits and payloads is theirs to judge, extensions included.
 */
export class FrameTracker {
  readonly #header = Buffer.allocUnsafeSlow(LONGEST_HEADER);
  /** Bytes of a header that have come, and how many it has as far as that is known. */
  #have = 0;
  #need = SHORTEST_HEADER;
  /** Bytes of the payload that are still to come. */
  #left = 0;
  #closing = false;
  #closed = false;
  #lost = false;

  /** Whether another frame may be written here: the last one is whole, and the next has not begun. */
  get between(): boolean {
    return this.#have === 0 && this.#left === 0 && !this.#lost;
  }

  /** Whether a Close frame has come, whole: no frame may follow it (RFC 6455 §5.5.1). */
  get closed(): boolean {
    return this.#closed;
  }

  /** Whether a header has come that no length can be read from. Where frames end is not known from there on. */
  get lost(): boolean {
    return this.#lost;
  }

  /**
   * Reads on.
   *
   * @param stop whether to stop where a frame ends, or where that is not known any more
   * @returns how many bytes have been read; all of them without `stop`
   */
  read(bytes: Buffer, stop = false): number {
    let at = 0;
    while (at < bytes.length && !this.#lost) {
      if (this.#left === 0) {
        this.#header[this.#have++] = bytes[at++] as number;
        if (this.#have < this.#need || !this.#readHeader()) continue;
      } else {
        const count = Math.min(this.#left, bytes.length - at);
        this.#left -= count;
        at += count;
      }
      if (this.#left > 0) continue;
      if (this.#closing) this.#closed = true;
      if (stop) return at;
    }
    return stop ? at : bytes.length;
  }

  /** @returns whether the header is whole */
  #readHeader(): boolean {
    const header = this.#header;
    const second = header[1] as number;
    const length = second & LENGTH;
    const extended = length === LENGTH_OF_64_BITS ? 8 : length === LENGTH_OF_16_BITS ? 2 : 0;
    this.#need = SHORTEST_HEADER + extended + ((second & MASK) === 0 ? 0 : MASKING_KEY);
    if (this.#have < this.#need) return false;
    if (extended === 8 && (header[SHORTEST_HEADER] as number) >= TOO_LONG) {
      this.#lost = true;
      return false;
    }
    // A length beyond what a number holds exactly has no end that anybody will see.
    this.#left =
      extended === 8
        ? Number(header.readBigUInt64BE(SHORTEST_HEADER))
        : extended === 2
          ? header.readUInt16BE(2)
          : length;
    this.#closing = ((header[0] as number) & OPCODE) === CLOSE;
    this.#have = 0;
    this.#need = SHORTEST_HEADER;
    return true;
  }
}

/**
 * Makes a Close frame (RFC 6455 §5.5.1).
 *
 * @param reason ASCII, 123 characters at most
 * @param masked whether it goes from a client to a server (RFC 6455 §5.3)
 */
export function closeFrame(code: number, reason: string, masked: boolean): Buffer {
  const payload = Buffer.alloc(STATUS_CODE + reason.length);
  payload.writeUInt16BE(code);
  payload.write(reason, STATUS_CODE, 'latin1');
  if (payload.length > LONGEST_CONTROL) throw new RangeError('the reason is too long for a Close frame');
  if (!masked) return Buffer.concat([Buffer.from([FIN | CLOSE, payload.length]), payload]);
  const key = randomBytes(MASKING_KEY);
  for (let i = 0; i < payload.length; i++)
    payload[i] = (payload[i] as number) ^ (key[i % MASKING_KEY] as number);
  return Buffer.concat([Buffer.from([FIN | CLOSE, MASK | payload.length]), key, payload]);
}
