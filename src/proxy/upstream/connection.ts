import type { Socket } from 'node:net';
import type { ResponseReader, UpstreamConnection } from './client.js';
import { Deadline } from './deadline.js';
import { BODY_TIMEOUT, CLIENT_SHARE, CLOSED, HEAD_TIMEOUT, Interrupted, LONG_FULL } from './interrupted.js';
import { keepsFraming, mayRepeat, type Upgrade, type UpstreamRequest, writePiece } from './request-head.js';
import { type Body, bodyOf } from './response-body.js';
import { checkPartialHead, InvalidResponse, type ResponseHead, readHead } from './response-head.js';

/** Whom a connection belongs to. */
export interface Owner {
  /** A request is to be sent once more, on another connection. */
  again(head: string, request: UpstreamRequest, reader: ResponseReader): void;
  /** The exchange on a connection lasts. @returns false where there is no room for one more of these */
  lasts(connection: Connection): boolean;
  /** One of them ends for want of room. */
  turnedAway(): void;
  /** Another request may be sent. */
  free(connection: Connection): void;
  /** It is closed. */
  gone(connection: Connection): void;
}

/** Limits of the answers on a connection; times in milliseconds, 0 for none. */
export interface ResponseLimits {
  /** The longest pause in a body. */
  readonly idleTimeout: number;
  /** The largest head, in bytes. */
  readonly maxHeadBytes: number;
}

/** What an upstream's leaving looks like. */
const LEFT: ReadonlySet<string> = new Set([CLOSED, 'ECONNRESET', 'EPIPE']);
/**
 * Interim answers that an upstream may send at once, and one more for each second: servers of WebDAV send 102 as long as
 * they work, every some seconds.
 */
const MAX_INTERIM = 16;
/** How long a connection is kept that has nothing to do, in milliseconds, where the upstream does not say. */
const KEEP_ALIVE = 4_000;
/** An upstream may end a connection at the very moment it is used again: it is left this much earlier. */
const KEEP_ALIVE_MARGIN = 1_000;
/**
 * How long an answer may go on that lasts where there is no room for it, in milliseconds: most answers of more than one
 * packet are over by then.
 */
const GRACE = 500;
/** In how many pieces a head may come. */
const MAX_PIECES = 4_096;
const EARLY_HINTS = 103;
/** RFC 9110 §15.2.2. */
const SWITCHING_PROTOCOLS = 101;
const HEAD_END = '\r\n\r\n';

/**
 * One connection to an upstream, with one request at a time. What comes unasked, or after an answer was whole, ends it:
 * such bytes would be taken for the answer to somebody else's request.
 */
export class Connection implements UpstreamConnection {
  readonly #socket: Socket;
  readonly #limits: ResponseLimits;
  readonly #owner: Owner;

  #reader: ResponseReader | undefined;
  #outgoing: UpstreamRequest | undefined;
  /** The head of the request, as long as it may have to be sent once more. */
  #repeatable: string | undefined;
  /** Whether an answer has come on it. */
  #used = false;
  /** Whether the whole request is written. */
  #sent = true;
  #uploaded = 0;
  #interim = 0;
  /** When the request was sent, in monotonic milliseconds. */
  #began = 0;
  /** Of the head that is being read. */
  #pieces = 0;
  /** What has come of a head. */
  #partial: Buffer | undefined;
  #head: ResponseHead | undefined;
  #body: Body | undefined;
  #paused = false;
  /** Whether the exchange counts as one that lasts. */
  #long = false;
  #grace: NodeJS.Timeout | undefined;
  /** Takes what is read where the upstream has switched to another protocol; the socket is somebody else's then. */
  #switched: ((bytes: Buffer) => void) | undefined;
  /** For whatever the upstream is to do next. */
  readonly #deadline = new Deadline(() =>
    this.#fail(new Interrupted(this.#head === undefined ? HEAD_TIMEOUT : BODY_TIMEOUT)),
  );

  /** @param socket connected; whoever made it hands what it reads to {@link read} */
  constructor(socket: Socket, limits: ResponseLimits, owner: Owner) {
    this.#socket = socket;
    this.#limits = limits;
    this.#owner = owner;
    socket.on('error', (error) => this.#fail(error));
    socket.on('end', () => this.#guard(() => this.#onEnd()));
    socket.on('close', () => this.#onClose());
    socket.on('drain', () => this.#guard(() => this.#onDrain()));
    // Whoever it was opened for may have left.
    this.#deadline.wait(KEEP_ALIVE);
  }

  /** Whether a request can be sent on it, if it is free. */
  get usable(): boolean {
    return !this.#socket.destroyed && !this.#socket.writableEnded;
  }

  /**
   * Sends a request; the connection must be free.
   *
   * @param head as it is to be written
   * @param again whether it is sent for the second time
   */
  send(head: string, request: UpstreamRequest, reader: ResponseReader, again: boolean): void {
    reader.onStart(this);
    this.#reader = reader;
    this.#outgoing = request;
    this.#interim = 0;
    this.#began = performance.now();
    if (this.#used && !again && mayRepeat(request)) this.#repeatable = head;
    this.#deadline.wait(request.timeout);
    this.#socket.write(head, 'latin1');
    if (request.body !== undefined) this.#pump(request);
  }

  /** Ends the connection, and the exchange that is going on. */
  abort(error: Error): void {
    if (this.#switched === undefined) this.#fail(error);
    else this.#socket.destroy();
  }

  /** Ends a connection that has nothing to do. */
  close(): void {
    this.#socket.destroy();
  }

  /** Goes on after a reader has asked for a pause. */
  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#deadline.wait(this.#limits.idleTimeout);
    this.#socket.resume();
  }

  /**
   * Takes what the socket has read.
   *
   * @param bytes overwritten as soon as this returns
   * @returns false where the socket is to stop reading
   */
  read(bytes: Buffer): boolean {
    if (this.#switched !== undefined) {
      this.#switched(Buffer.from(bytes));
      return true;
    }
    if (this.#reader === undefined) {
      this.#socket.destroy();
      return false;
    }
    this.#repeatable = undefined;
    try {
      this.#take(bytes);
    } catch (error) {
      this.#fail(error as Error);
    }
    return !this.#paused;
  }

  /** Runs what the event loop calls: an exception ends this connection, and the exchange on it, alone. */
  #guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #take(bytes: Buffer): void {
    const reader = this.#reader as ResponseReader;
    let rest = bytes;
    while (this.#body === undefined) {
      const after = this.#takeHead(rest);
      if (after === undefined || this.#reader !== reader) return;
      rest = after;
    }
    this.#deadline.wait(this.#limits.idleTimeout);
    const body = this.#body;
    if (!body.ended && rest.length > 0) {
      const count = body.read(rest, this.#piece);
      rest = rest.subarray(count);
      if (this.#reader !== reader) return;
      // The client's pause is none of the upstream's.
      if (this.#paused) this.#deadline.wait(0);
    }
    if (body.ended) this.#finish(rest.length === 0);
    else if (!this.#long) this.#last();
  }

  /** The answer is not over with what has come of it: an event stream, a large one, or one that its client does not read. */
  #last(): void {
    const mayLast = this.#reader?.mayLast() === true;
    if (mayLast && this.#owner.lasts(this)) {
      this.#long = true;
      clearTimeout(this.#grace);
      this.#reader?.onLong();
    } else if (this.#head?.endless === true) {
      this.#turnAway(mayLast);
    } else {
      this.#grace ??= setTimeout(() => this.#turnAway(mayLast), GRACE).unref();
    }
  }

  /** @param mayLast whether its client may have one more exchange that lasts, so that the upstream's own room is lacking */
  #turnAway(mayLast: boolean): void {
    if (mayLast) this.#owner.turnedAway();
    this.#fail(new Interrupted(mayLast ? LONG_FULL : CLIENT_SHARE));
  }

  readonly #piece = (bytes: Buffer): void => {
    if (this.#reader?.onData(bytes) === false) this.#paused = true;
  };

  /** @returns what follows the head, or undefined where it is not whole yet */
  #takeHead(bytes: Buffer): Buffer | undefined {
    const all = this.#partial === undefined ? bytes : Buffer.concat([this.#partial, bytes]);
    // Each piece costs a look at all that has come.
    if (this.#partial === undefined) this.#pieces = 0;
    else if (++this.#pieces > MAX_PIECES) throw new InvalidResponse('a head in thousands of pieces');
    const { maxHeadBytes } = this.#limits;
    const text = all.toString('latin1', 0, maxHeadBytes + HEAD_END.length);
    const end = text.indexOf(HEAD_END);
    if (end === -1 && all.length > maxHeadBytes)
      throw new InvalidResponse('a head larger than forward.maxResponseHeaderBytes');
    if (end === -1) {
      checkPartialHead(text);
      this.#partial = Buffer.from(all);
      return undefined;
    }
    this.#partial = undefined;
    const head = readHead(text.slice(0, end));
    if (head.status === SWITCHING_PROTOCOLS && this.#outgoing?.upgrade !== undefined) {
      this.#switch(this.#outgoing.upgrade, head, all.subarray(end + HEAD_END.length));
      return undefined;
    }
    if (head.status < 200) {
      this.#passInterim(head);
    } else {
      this.#head = head;
      this.#body = bodyOf(head, this.#outgoing?.method ?? '');
      this.#outgoing?.body?.allowAnyRate();
      // Where there is no room for a stream, its client can still be told.
      if (head.endless && !this.#body.ended) this.#last();
      this.#reader?.onHead(head);
    }
    return all.subarray(end + HEAD_END.length);
  }

  /** Gives the socket away: the upstream speaks another protocol on it, for as long as it is open. */
  #switch(upgrade: Upgrade, head: ResponseHead, early: Buffer): void {
    if (!this.#long && !this.#owner.lasts(this)) {
      this.#turnAway(true);
      return;
    }
    this.#switched = upgrade.accept(head, this.#socket, Buffer.from(early));
    this.#deadline.end();
    this.#forget();
  }

  /**
   * Interim answers come in a bounded number. 100 may come unasked (RFC 9110 §15.2.1 lets a proxy discard it), the client
   * is told of 103, and others are dropped.
   */
  #passInterim(head: ResponseHead): void {
    // What follows would be another protocol, which nobody asked for.
    if (head.status === SWITCHING_PROTOCOLS) throw new InvalidResponse('101 to a request without Upgrade');
    // Then no final answer could follow (RFC 9112 §9.3); HTTP/1.0 has no interim ones.
    if (!head.persistent) throw new InvalidResponse('an interim answer that ends the connection');
    const seconds = Math.floor((performance.now() - this.#began) / 1000);
    if (++this.#interim > MAX_INTERIM + seconds) throw new Interrupted('too_many_interim_answers');
    if (head.status === EARLY_HINTS) this.#reader?.onEarlyHints(head);
  }

  /** @param exact whether nothing came after the answer */
  #finish(exact: boolean): void {
    const reader = this.#reader as ResponseReader;
    const head = this.#head as ResponseHead;
    const trailers = this.#body?.trailers ?? [];
    this.#used = true;
    const idle = Math.min(KEEP_ALIVE, (head.keepAlive ?? Number.POSITIVE_INFINITY) - KEEP_ALIVE_MARGIN);
    const reusable =
      exact &&
      this.#sent &&
      head.persistent &&
      idle > 0 &&
      this.#outgoing !== undefined &&
      keepsFraming(this.#outgoing) &&
      this.usable;
    this.#forget();
    if (!reusable) this.#socket.destroy();
    reader.onEnd(trailers);
    if (!reusable) return;
    this.#deadline.wait(idle);
    this.#owner.free(this);
  }

  #forget(): void {
    this.#reader = undefined;
    this.#outgoing = undefined;
    this.#repeatable = undefined;
    this.#head = undefined;
    this.#body = undefined;
    this.#partial = undefined;
    this.#long = false;
    clearTimeout(this.#grace);
    this.#grace = undefined;
    if (this.#paused) {
      this.#paused = false;
      this.#socket.resume();
    }
  }

  #fail(error: Error): void {
    if (this.#switched !== undefined) return;
    const reader = this.#reader;
    const request = this.#outgoing;
    const head = LEFT.has((error as { code?: string }).code ?? '') ? this.#repeatable : undefined;
    this.#forget();
    this.#socket.destroy();
    if (reader === undefined) return;
    if (head === undefined || request === undefined) reader.onError(error);
    // The upstream has left an idle connection just when it was used again.
    else this.#owner.again(head, request, reader);
  }

  #onEnd(): void {
    const reader = this.#reader;
    if (reader === undefined || this.#body?.endsWithConnection !== true) {
      this.#fail(new Interrupted(CLOSED));
      return;
    }
    this.#forget();
    this.#socket.destroy();
    reader.onEnd([]);
  }

  #onClose(): void {
    this.#deadline.end();
    this.#fail(new Interrupted(CLOSED));
    this.#owner.gone(this);
  }

  /** Sends the body after the head, at the pace of the upstream. */
  #pump(request: UpstreamRequest): void {
    const { body, length, timeout } = request;
    if (body === undefined) return;
    this.#sent = false;
    this.#uploaded = 0;
    // What the client takes its time for is not the upstream's delay.
    this.#deadline.wait(0);
    const onPiece = (piece: Buffer): void => {
      if (this.#outgoing !== request) return;
      this.#uploaded += piece.length;
      // Once the answer has begun, a byte of either direction keeps the exchange alive.
      if (this.#head !== undefined) this.#deadline.wait(this.#limits.idleTimeout);
      if (!writePiece(this.#socket, piece, length === undefined)) {
        body.pause();
        if (this.#head === undefined) this.#deadline.wait(timeout);
      }
    };
    const onEnd = (): void => {
      if (this.#outgoing !== request) return;
      if (length !== undefined && this.#uploaded !== length) {
        this.#fail(new Interrupted('upload_cut'));
        return;
      }
      this.#sent = true;
      if (length === undefined) this.#socket.write('0\r\n\r\n', 'latin1');
      if (this.#head === undefined) this.#deadline.wait(timeout);
    };
    body.on('data', (piece: Buffer) => this.#guard(() => onPiece(piece)));
    body.on('end', () => this.#guard(onEnd));
  }

  #onDrain(): void {
    const body = this.#outgoing?.body;
    if (body === undefined || this.#sent) return;
    if (this.#head === undefined) this.#deadline.wait(0);
    body.resume();
  }
}
