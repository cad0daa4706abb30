import { createHash, randomBytes } from 'node:crypto';

/** Opcodes (RFC 6455 §5.2). */
export const TEXT = 1;
export const BINARY = 2;
export const CONTINUATION = 0;
export const CLOSE = 8;
export const PING = 9;

/** What a frame may be besides its payload. */
export interface FrameOptions {
  readonly opcode?: number;
  readonly fin?: boolean;
  /** RSV1 to RSV3, as the three bits of a number. */
  readonly reserved?: number;
  readonly masked?: boolean;
  /** How many bytes the length takes besides its seven bits; as few as it needs by default. */
  readonly lengthBytes?: 0 | 2 | 8;
}

/** Writes one frame. @param payload text is Latin-1 */
export function frame(payload: Buffer | string, options: FrameOptions = {}): Buffer {
  const { opcode = TEXT, fin = true, reserved = 0, masked = false } = options;
  const data = Buffer.from(payload as string, 'latin1');
  const { length } = data;
  const { lengthBytes = length < 126 ? 0 : length < 65_536 ? 2 : 8 } = options;
  const head = Buffer.alloc(2 + lengthBytes);
  head[0] = (fin ? 0x80 : 0) | (reserved << 4) | opcode;
  head[1] = (masked ? 0x80 : 0) | (lengthBytes === 8 ? 127 : lengthBytes === 2 ? 126 : length);
  if (lengthBytes === 2) head.writeUInt16BE(length, 2);
  if (lengthBytes === 8) head.writeBigUInt64BE(BigInt(length), 2);
  if (!masked) return Buffer.concat([head, data]);
  const key = randomBytes(4);
  return Buffer.concat([head, key, data.map((byte, i) => byte ^ (key[i % 4] as number))]);
}

/** One frame as it was read. */
export interface ReadFrame {
  readonly opcode: number;
  readonly fin: boolean;
  readonly masked: boolean;
  readonly payload: Buffer;
  /** The status code of a Close, and its reason. */
  readonly code?: number;
  readonly reason?: string;
}

/** Reads whole frames from the start of a byte stream, in another way than the gateway does; what follows them is left. */
export function readFrames(bytes: Buffer): { readonly frames: ReadFrame[]; readonly rest: Buffer } {
  const frames: ReadFrame[] = [];
  let rest = bytes;
  for (;;) {
    if (rest.length < 2) return { frames, rest };
    const [first, second] = [rest[0] as number, rest[1] as number];
    const short = second & 0x7f;
    const at = short === 127 ? 10 : short === 126 ? 4 : 2;
    const masked = (second & 0x80) !== 0;
    const begin = at + (masked ? 4 : 0);
    if (rest.length < begin) return { frames, rest };
    const length =
      short === 127 ? Number(rest.readBigUInt64BE(2)) : short === 126 ? rest.readUInt16BE(2) : short;
    if (rest.length < begin + length) return { frames, rest };
    const key = masked ? rest.subarray(at, begin) : Buffer.alloc(4);
    const payload = rest.subarray(begin, begin + length).map((byte, i) => byte ^ (key[i % 4] as number));
    const opcode = first & 0x0f;
    const told =
      opcode === CLOSE && length >= 2
        ? {
            code: Buffer.from(payload).readUInt16BE(),
            reason: Buffer.from(payload).subarray(2).toString('latin1'),
          }
        : {};
    frames.push({ opcode, fin: (first & 0x80) !== 0, masked, payload: Buffer.from(payload), ...told });
    rest = rest.subarray(begin + length);
  }
}

/** Sec-WebSocket-Accept for a key (RFC 6455 §4.2.2). */
export function acceptFor(key: string): string {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
}
