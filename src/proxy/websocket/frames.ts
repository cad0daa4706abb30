import { randomBytes } from 'node:crypto';

/** Every header has two bytes: FIN, RSV and opcode; MASK and length (RFC 6455 §5.2). */
const SHORTEST_HEADER = 2;
/** A header with a 64-bit length and a masking key. */
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
/** RFC 6455 §5.5: the longest payload of a control frame, in bytes. */
const LONGEST_CONTROL = 125;
/** The bytes of the status code before the reason in a Close frame (RFC 6455 §5.5.1). */
const STATUS_CODE = 2;

/**
 * Finds where the frames of one direction of a WebSocket end (RFC 6455 §5.2). It reads only length, mask and
 * opcode of the headers. Reserved bits, payloads and extensions are left to the endpoints.
 */
export class FrameTracker {
  readonly #header = Buffer.allocUnsafeSlow(LONGEST_HEADER);
  /** Bytes of the header so far, and its total as far as it is known. */
  #have = 0;
  #need = SHORTEST_HEADER;
  /** Bytes of the payload that have not arrived yet. */
  #left = 0;
  #closing = false;
  #closed = false;
  #lost = false;

  /** Whether another frame may be inserted here: the last frame is complete and the next has not begun. */
  get between(): boolean {
    return this.#have === 0 && this.#left === 0 && !this.#lost;
  }

  /** Whether a complete Close frame has arrived: no frame may follow it (RFC 6455 §5.5.1). */
  get closed(): boolean {
    return this.#closed;
  }

  /** Whether a header had an invalid length. From there on it is unknown where frames end. */
  get lost(): boolean {
    return this.#lost;
  }

  /**
   * Reads further bytes.
   *
   * @param stop whether to stop at the end of a frame, or when it becomes unknown where frames end
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

  /** @returns whether the header is complete */
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
    // A length that a JavaScript number cannot hold exactly does no harm: such a frame never ends in
    // practice.
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
 * @param masked whether a client sends it to a server (RFC 6455 §5.3)
 * @throws RangeError if the reason is too long
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
