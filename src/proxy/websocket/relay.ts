import type { Socket } from 'node:net';
import { Deadline } from '../upstream/deadline.js';
import { closeFrame, FrameTracker } from './frames.js';

/** Times in milliseconds. */
export interface RelayTimes {
  /**
   * How long both sides may take for a close that scopegate began. After that, both connections are
   * destroyed.
   */
  readonly close: number;
  /**
   * How long one side may continue after the other has closed, counted from the last bytes sent to it. After
   * that, its connection is destroyed.
   */
  readonly linger: number;
}

const TIMES: RelayTimes = { close: 5_000, linger: 30_000 };

/** The client's or the upstream's side. */
interface Side {
  readonly socket: Socket;
  /** Tracks the frames that come from this side. */
  readonly frames: FrameTracker;
  /** Whether frames sent to this side are masked: only a server gets masked frames (RFC 6455 §5.1). */
  readonly masked: boolean;
  /** Whether bytes from this side are no longer relayed. */
  silenced: boolean;
}

/**
 * Relays a WebSocket between a client and an upstream: the bytes unchanged, both ways, as fast as the slower
 * side reads. scopegate only tracks where frames end, so that it can end the connection with a Close frame of
 * its own.
 *
 * An exception in an event handler ends this connection and no other.
 */
export class Relay {
  readonly #client: Side;
  readonly #upstream: Side;
  readonly #onFault: (error: unknown) => void;
  readonly #onEnd: () => void;
  readonly #times: RelayTimes;
  readonly #deadline = new Deadline(() => this.destroy());
  /** The code and the reason with which scopegate closes the connection, once it does. */
  #close: { readonly code: number; readonly reason: string } | undefined;
  #open = 2;

  /**
   * @param client the client's socket; nothing was read from it since the head of its request
   * @param upstream the upstream's socket; its owner passes everything it reads to {@link pass}
   * @param onFault called for an exception
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

  /** Starts to read the client, and listens for the end of both sides. */
  open(): void {
    this.#listen(this.#client);
    this.#listen(this.#upstream);
    const { socket } = this.#client;
    socket.on('data', (bytes: Buffer) => this.pass('client', bytes));
    socket.resume();
    // TCP keep-alive detects a client that has disappeared. The connector sets it for upstreams.
    socket.setKeepAlive(true, 60_000);
  }

  /** Relays bytes from a side. */
  pass(from: 'client' | 'upstream', bytes: Buffer): void {
    this.#guard(() => this.#take(from === 'client' ? this.#client : this.#upstream, bytes));
  }

  /**
   * Closes the connection. Each side gets a Close frame as soon as the current frame to it is complete, and
   * nothing after that. A side that answers with its own Close frame is closed. After a time limit, both
   * connections are destroyed.
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

  /** Destroys both connections at once. */
  destroy(): void {
    this.#client.socket.destroy();
    this.#upstream.socket.destroy();
  }

  #listen(side: Side): void {
    const { socket } = side;
    socket.on('drain', () => this.#guard(() => this.#other(side).socket.resume()));
    socket.on('end', () => this.#guard(() => this.#onLeave(side)));
    // The `close` event that follows handles this.
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
      // Only a Close frame from this side still matters.
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
    // The other side has stopped sending but still gets bytes, so restart its time limit.
    if (from.socket.writableEnded) this.#linger();
    // If scopegate kept reading, the bytes that the other side does not take would fill the memory.
    if (!socket.write(bytes)) from.socket.pause();
  }

  /**
   * Sends the Close frame in the direction that begins at a side, if no frame from that side is incomplete.
   */
  #endAfterFrame(from: Side): void {
    const { code, reason } = this.#close as { code: number; reason: string };
    if (from.silenced) return;
    const { frames } = from;
    const to = this.#other(from);
    if (!frames.between && !frames.closed && !frames.lost) return;
    from.silenced = true;
    // It is unknown where frames end, so a Close frame could be read as part of another frame.
    if (frames.lost) to.socket.end();
    else if (!frames.closed && to.socket.writable) to.socket.write(closeFrame(code, reason, to.masked));
    // This side may be paused because of a slow reader. The reader now gets nothing but the Close frame.
    from.socket.resume();
    this.#letGo(from);
    this.#letGo(to);
  }

  /** Closes the connection to a side that has sent and received a Close frame (RFC 6455 §7.1.1). */
  #letGo(side: Side): void {
    if (this.#close !== undefined && side.frames.closed && this.#other(side).silenced) side.socket.end();
  }

  /** A side has sent everything and ended its direction. */
  #onLeave(side: Side): void {
    const other = this.#other(side);
    // If scopegate closes the connection, the other side got a Close frame already, or got only part of a
    // frame.
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
    // The end of the socket is only seen after everything before it is read.
    other.socket.resume();
    this.#linger();
  }

  /** Starts the time limit for the remaining side. A close that scopegate began has its own limit. */
  #linger(): void {
    if (this.#close === undefined) this.#deadline.wait(this.#times.linger);
  }
}
