import type { Socket } from 'node:net';
import { Deadline } from '../upstream/deadline.js';
import { closeFrame, FrameTracker } from './frames.js';

/** Times in milliseconds. */
export interface RelayTimes {
  /** How long the two sides may take for a close that scopegate began; then both are cut. */
  readonly close: number;
  /** How long one side may go on when the other one has left, since it was last sent anything; then it is cut. */
  readonly linger: number;
}

const TIMES: RelayTimes = { close: 5_000, linger: 30_000 };

/** One of the two sides. */
interface Side {
  readonly socket: Socket;
  /** Of the frames that come from it. */
  readonly frames: FrameTracker;
  /** Whether frames that are sent to it carry a mask: only a server gets masked ones (RFC 6455 §5.1). */
  readonly masked: boolean;
  /** Nothing more of what comes from it is passed on. */
  silenced: boolean;
}

/**
 * Carries a WebSocket between a client and an upstream: the bytes as they are, both ways, at the pace of whoever reads
 * more slowly. The endpoints talk as if nobody stood between them; scopegate reads where frames end, and no more, so
 * that it can end the connection with a Close frame of its own.
 *
 * Whatever is thrown in what the event loop calls ends this connection, and no other.
 */
export class Relay {
  readonly #client: Side;
  readonly #upstream: Side;
  readonly #onFault: (error: unknown) => void;
  readonly #onEnd: () => void;
  readonly #times: RelayTimes;
  readonly #deadline = new Deadline(() => this.destroy());
  /** What the sides are told that scopegate has ended the connection with. */
  #close: { readonly code: number; readonly reason: string } | undefined;
  #open = 2;

  /**
   * @param client nothing of it has been read since the head of its request
   * @param upstream whoever reads it hands what comes to {@link pass}
   * @param onFault is told of an exception
   * @param onEnd called once, when both connections are closed
   */
  constructor(
    client: Socket,
    upstream: Socket,
    onFault: (error: unknown) => void,
    onEnd: () => void,
    times = TIMES,
  ) {
    this.#client = { socket: client, frames: new FrameTracker(), masked: false, silenced: false };
    this.#upstream = { socket: upstream, frames: new FrameTracker(), masked: true, silenced: false };
    this.#onFault = onFault;
    this.#onEnd = onEnd;
    this.#times = times;
  }

  /** Begins to read the client, and to hear of both sides' end. */
  open(): void {
    this.#listen(this.#client);
    this.#listen(this.#upstream);
    const { socket } = this.#client;
    socket.on('data', (bytes: Buffer) => this.pass('client', bytes));
    socket.resume();
    // A side that is gone without a word is noticed sooner or later; upstreams are looked after by the connector.
    socket.setKeepAlive(true, 60_000);
  }

  /** Passes on what has come of a side. */
  pass(from: 'client' | 'upstream', bytes: Buffer): void {
    this.#guard(() => this.#take(from === 'client' ? this.#client : this.#upstream, bytes));
  }

  /**
   * Ends the connection: each side is sent a Close frame as soon as the frame is whole that is on its way to it, and
   * nothing after that; a side that answers with its own is let go. Whatever has not ended within a bound of time is cut.
   *
   * @param code RFC 6455 §7.4
   * @param reason ASCII, 123 characters at most
   */
  close(code: number, reason: string): void {
    if (this.#close !== undefined) return;
    this.#close = { code, reason };
    this.#deadline.wait(this.#times.close);
    this.#guard(() => {
      this.#endAfterFrame(this.#client);
      this.#endAfterFrame(this.#upstream);
    });
  }

  /** Cuts both sides at once. */
  destroy(): void {
    this.#client.socket.destroy();
    this.#upstream.socket.destroy();
  }

  #listen(side: Side): void {
    const { socket } = side;
    socket.on('drain', () => this.#guard(() => this.#other(side).socket.resume()));
    socket.on('end', () => this.#guard(() => this.#onLeave(side)));
    // The close that follows says all there is to say.
    socket.on('error', () => {});
    socket.on('close', () => this.#guard(() => this.#onClose(side)));
  }

  #guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.destroy();
      this.#onFault(error);
    }
  }

  #other(side: Side): Side {
    return side === this.#client ? this.#upstream : this.#client;
  }

  #take(from: Side, bytes: Buffer): void {
    if (from.silenced) {
      // Only its Close is still of interest.
      from.frames.read(bytes);
      this.#letGo(from);
      return;
    }
    const count = from.frames.read(bytes, this.#close !== undefined);
    this.#write(from, count === bytes.length ? bytes : bytes.subarray(0, count));
    if (this.#close === undefined) return;
    this.#endAfterFrame(from);
    if (count < bytes.length) this.#take(from, bytes.subarray(count));
  }

  #write(from: Side, bytes: Buffer): void {
    const { socket } = this.#other(from);
    if (!socket.writable || bytes.length === 0) return;
    // The other side has left, and is still being told what it was to be told.
    if (from.socket.writableEnded) this.#linger();
    // What is read while the other side does not take it would wait in memory.
    if (!socket.write(bytes)) from.socket.pause();
  }

  /** Sends the Close in the direction that begins at a side, if no frame of that side is on its way. */
  #endAfterFrame(from: Side): void {
    const { code, reason } = this.#close as { code: number; reason: string };
    if (from.silenced) return;
    const { frames } = from;
    const to = this.#other(from);
    if (!frames.between && !frames.closed && !frames.lost) return;
    from.silenced = true;
    // Where frames end is not known any more: a Close could only be taken for a piece of something else.
    if (frames.lost) to.socket.end();
    else if (!frames.closed && to.socket.writable) to.socket.write(closeFrame(code, reason, to.masked));
    // It may have been held up for a reader that has the Close before it now.
    from.socket.resume();
    this.#letGo(from);
    this.#letGo(to);
  }

  /** Ends the connection to a side that has said Close and been told Close: nothing is left to be said (RFC 6455 §7.1.1). */
  #letGo(side: Side): void {
    if (this.#close !== undefined && side.frames.closed && this.#other(side).silenced) side.socket.end();
  }

  /** A side has sent all that it will. */
  #onLeave(side: Side): void {
    const other = this.#other(side);
    // Where scopegate ends the connection, the other side has been told so, or is in the middle of a frame.
    if (!side.silenced) other.socket.end();
    side.silenced = true;
    if (this.#close !== undefined) side.socket.end();
    this.#linger();
  }

  #onClose(side: Side): void {
    this.#open--;
    if (this.#open === 0) {
      this.#deadline.end();
      this.#onEnd();
      return;
    }
    const other = this.#other(side);
    if (!side.silenced) other.socket.end();
    side.silenced = true;
    other.silenced = true;
    // Its end is not seen before what it has sent is read.
    other.socket.resume();
    this.#linger();
  }

  /** A close that scopegate began has a time of its own. */
  #linger(): void {
    if (this.#close === undefined) this.#deadline.wait(this.#times.linger);
  }
}
