import type { Socket } from 'node:net';
import { EARLY_HINTS, SWITCHING_PROTOCOLS } from '../../model/statuses.js';
import type { ResponseReader, UpstreamConnection } from './client.js';
import { Deadline } from './deadline.js';
import { BODY_TIMEOUT, CLIENT_SHARE, CLOSED, HEAD_TIMEOUT, Interrupted, LONG_FULL } from './interrupted.js';
import { keepsFraming, mayRepeat, type Upgrade, type UpstreamRequest, writePiece } from './request-head.js';
import { type Body, bodyOf } from './response-body.js';
import { checkPartialHead, InvalidResponse, type ResponseHead, readHead } from './response-head.js';
import { GRACE, MAX_INTERIM } from './response-limits.js';

/** The owner of a connection. */
export interface Owner {
  /** A request must be sent again, on another connection. */
  again(head: string, request: UpstreamRequest, reader: ResponseReader): void;
  /** The exchange is becoming a long one. @returns false if there is no room for another */
  lasts(connection: Connection): boolean;
  /** A long exchange was refused because there is no room. */
  turnedAway(): void;
  /** The connection is free for another request. */
  free(connection: Connection): void;
  /** The connection is closed. */
  gone(connection: Connection): void;
}

/** Limits of the responses on a connection; times in milliseconds, 0 means no limit. */
export interface ResponseLimits {
  /** The longest pause in a body. */
  readonly idleTimeout: number;
  /** The largest response head, in bytes. */
  readonly maxHeadBytes: number;
}

/** Error codes that mean that the upstream has closed the connection. */
const LEFT: ReadonlySet<string> = new Set([CLOSED, 'ECONNRESET', 'EPIPE']);
/** How long an idle connection is kept, in milliseconds, if the upstream does not say. */
const KEEP_ALIVE = 4_000;
/**
 * An upstream may close a connection just as it is used again, so scopegate stops using it this much earlier.
 */
const KEEP_ALIVE_MARGIN = 1_000;
/** The most pieces of a head. */
const MAX_PIECES = 4_096;
const HEAD_END = '\r\n\r\n';

/**
 * One connection to an upstream, with one request at a time. Unsolicited bytes, or bytes after a complete
 * response, close it: they would be read as the response to another client's request.
 */
export class Connection implements UpstreamConnection {
  readonly #socket: Socket;
  readonly #limits: ResponseLimits;
  readonly #owner: Owner;

  #reader: ResponseReader | undefined;
  #outgoing: UpstreamRequest | undefined;
  /** The head of the request, as long as it may have to be sent again. */
  #repeatable: string | undefined;
  /** Whether the connection has carried a response. */
  #used = false;
  /** Whether the request is written completely. */
  #sent = true;
  #uploaded = 0;
  #interim = 0;
  /** When the request was sent, in monotonic milliseconds. */
  #began = 0;
  /** The pieces of the current head so far. */
  #pieces = 0;
  /** The incomplete head so far. */
  #partial: Buffer | undefined;
  #head: ResponseHead | undefined;
  #body: Body | undefined;
  #paused = false;
  /** Whether this is a long exchange. */
  #long = false;
  #grace: NodeJS.Timeout | undefined;
  /** Gets what is read after a switch to another protocol; the socket then has another owner. */
  #switched: ((bytes: Buffer) => void) | undefined;
  /** The limit of what the upstream must do next. */
  readonly #deadline = new Deadline(() =>
    this.#fail(new Interrupted(this.#head === undefined ? HEAD_TIMEOUT : BODY_TIMEOUT)),
  );

  /** @param socket connected; its creator passes everything it reads to {@link read} */
  constructor(socket: Socket, limits: ResponseLimits, owner: Owner) {
    this.#socket = socket;
    this.#limits = limits;
    this.#owner = owner;
    socket.on('error', (error) => this.#fail(error));
    socket.on('end', () => this.#guard(() => this.#onEnd()));
    socket.on('close', () => this.#onClose());
    socket.on('drain', () => this.#guard(() => this.#onDrain()));
    // The request that it was opened for may be cancelled by now.
    this.#deadline.wait(KEEP_ALIVE);
  }

  /** Whether the connection can carry another request once it is free. */
  get usable(): boolean {
    return !this.#socket.destroyed && !this.#socket.writableEnded;
  }

  /**
   * Sends a request; the connection must be free.
   *
   * @param head the head to write
   * @param again whether this is the second attempt
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

  /** Closes the connection and ends the current exchange. */
  abort(error: Error): void {
    if (this.#switched === undefined) this.#fail(error);
    else this.#socket.destroy();
  }

  /** Closes an idle connection. */
  close(): void {
    this.#socket.destroy();
  }

  /** Continues after a reader has asked for a pause. */
  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#deadline.wait(this.#limits.idleTimeout);
    this.#socket.resume();
  }

  /**
   * Processes what the socket has read.
   *
   * @param bytes overwritten as soon as this returns
   * @returns false if the socket must stop reading
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

  /** Runs an event handler: an exception closes only this connection and ends only its exchange. */
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
      // A pause of the client is not the upstream's fault.
      if (this.#paused) this.#deadline.wait(0);
    }
    if (body.ended) this.#finish(rest.length === 0);
    else if (!this.#long) this.#last();
  }

  /**
   * The response is not complete yet: an event stream, a large response, or one that its client does not
   * read.
   */
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

  /**
   * @param mayLast whether the client has room for a long exchange; if so, it is the upstream that has none
   */
  #turnAway(mayLast: boolean): void {
    if (mayLast) this.#owner.turnedAway();
    this.#fail(new Interrupted(mayLast ? LONG_FULL : CLIENT_SHARE));
  }

  readonly #piece = (bytes: Buffer): void => {
    if (this.#reader?.onData(bytes) === false) this.#paused = true;
  };

  /** @returns what follows the head; undefined if the head is not complete yet */
  #takeHead(bytes: Buffer): Buffer | undefined {
    const all = this.#partial === undefined ? bytes : Buffer.concat([this.#partial, bytes]);
    // Each piece means that the whole head so far is scanned again.
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
      // If there is no room for a stream, its client can still get an error response.
      if (head.endless && !this.#body.ended) this.#last();
      this.#reader?.onHead(head);
    }
    return all.subarray(end + HEAD_END.length);
  }

  /** Hands the socket over: from now on the upstream speaks another protocol on it. */
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
   * Handles a limited number of interim responses. 103 goes to the client; all others are dropped. An
   * upstream may send 100 unasked (RFC 9110 §15.2.1 lets a proxy discard it).
   */
  #passInterim(head: ResponseHead): void {
    // The following bytes would be another protocol, which nobody asked for.
    if (head.status === SWITCHING_PROTOCOLS) throw new InvalidResponse('101 to a request without Upgrade');
    // No final response could follow (RFC 9112 §9.3). HTTP/1.0 has no interim responses.
    if (!head.persistent) throw new InvalidResponse('an interim answer that ends the connection');
    // A WebDAV server repeats 102 every few seconds while it works, so there is one more for each second.
    const seconds = Math.floor((performance.now() - this.#began) / 1000);
    if (++this.#interim > MAX_INTERIM + seconds) throw new Interrupted('too_many_interim_answers');
    if (head.status === EARLY_HINTS) this.#reader?.onEarlyHints(head);
  }

  /** @param exact whether no byte followed the response */
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
    // The upstream closed an idle connection just as it was used again.
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

  /** Sends the body after the head, as fast as the upstream reads. */
  #pump(request: UpstreamRequest): void {
    const { body, length, timeout } = request;
    if (body === undefined) return;
    this.#sent = false;
    this.#uploaded = 0;
    // Time that the client needs for its body does not count as the upstream's delay.
    this.#deadline.wait(0);
    const onPiece = (piece: Buffer): void => {
      if (this.#outgoing !== request) return;
      this.#uploaded += piece.length;
      // Once the response has begun, a byte in either direction restarts the idle timeout.
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
