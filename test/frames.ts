import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';

/** Types of frames (RFC 9113 §6). */
export const FRAME = {
  data: 0,
  headers: 1,
  reset: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  continuation: 9,
} as const;

/** Flags of frames. */
export const END_STREAM = 1;
export const END_HEADERS = 4;

/** One frame as it came. */
export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** A connection of HTTP/2 on which anything can be said, well-formed or not. */
export interface FrameConnection {
  readonly socket: TLSSocket;
  /** Everything so far. */
  readonly frames: Frame[];
  /** Whether the other side has ended the connection. */
  readonly closed: boolean;
  send(type: number, flags: number, stream: number, payload?: Buffer): void;
  /** Waits until something holds, or the connection has ended. @throws Error after five seconds */
  until(holds: (frames: readonly Frame[]) => boolean): Promise<void>;
}

/** Opens one, with the preface and empty settings sent. */
export async function openFrames(port: number, ca: string): Promise<FrameConnection> {
  const socket = connect({ port, host: '127.0.0.1', ca, servername: 'gate.example', ALPNProtocols: ['h2'] });
  const frames: Frame[] = [];
  let pending: Buffer = Buffer.alloc(0);
  let closed = false;
  let wake = (): void => {};
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk]);
    while (pending.length >= 9 && pending.length >= 9 + pending.readUIntBE(0, 3)) {
      const length = pending.readUIntBE(0, 3);
      frames.push({
        type: pending[3] as number,
        flags: pending[4] as number,
        stream: pending.readUInt32BE(5),
        payload: pending.subarray(9, 9 + length),
      });
      pending = pending.subarray(9 + length);
    }
    wake();
  });
  socket.on('close', () => {
    closed = true;
    wake();
  });
  await once(socket, 'secureConnect');
  const connection: FrameConnection = {
    socket,
    frames,
    get closed() {
      return closed;
    },
    send(type, flags, stream, payload = Buffer.alloc(0)) {
      const head = Buffer.alloc(9);
      head.writeUIntBE(payload.length, 0, 3);
      head[3] = type;
      head[4] = flags;
      head.writeUInt32BE(stream, 5);
      socket.write(Buffer.concat([head, payload]));
    },
    async until(holds) {
      const limit = setTimeout(() => {
        socket.destroy(new Error('late'));
      }, 5_000);
      while (!closed && !holds(frames)) await new Promise<void>((resolve) => (wake = resolve));
      clearTimeout(limit);
      if (socket.errored?.message === 'late') throw new Error('it did not come in five seconds');
    },
  };
  socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  connection.send(FRAME.settings, 0, 0);
  return connection;
}

/** A header block of literal fields, never indexed and not compressed (RFC 7541 §6.2.3). */
export function block(fields: readonly (readonly [name: string, value: string])[]): Buffer {
  return Buffer.concat(
    fields.flatMap(([name, value]) => [Buffer.from([0x10]), ...text(name), ...text(value)]),
  );
}

/** RFC 7541 §5.2: a length in a prefix of seven bits, then the octets. */
function text(value: string): Buffer[] {
  const octets = Buffer.from(value, 'latin1');
  const length: number[] = [];
  if (octets.length < 127) length.push(octets.length);
  else {
    length.push(127);
    let rest = octets.length - 127;
    for (; rest >= 128; rest >>= 7) length.push((rest & 127) | 128);
    length.push(rest);
  }
  return [Buffer.from(length), octets];
}

/** Whether a stream was refused: answered 400 (entry 12 of HPACK's static table), or reset, or its connection ended. */
export function wasRefused({ frames, closed }: FrameConnection, stream: number): boolean {
  const own = frames.filter((frame) => frame.stream === stream);
  const head = own.find(({ type }) => type === FRAME.headers)?.payload;
  if (head !== undefined) return head.includes(0x8c);
  const isOver = frames.some(({ type }) => type === FRAME.goaway);
  return (
    own.some(({ type, payload }) => type === FRAME.reset && payload.readUInt32BE(0) !== 0) || isOver || closed
  );
}
