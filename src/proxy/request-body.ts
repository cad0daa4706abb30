import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { isStream } from '../parse/parsed-request.js';
import type { BufferedBodies, BufferedBody } from './buffered-bodies.js';
import { Deadline } from './upstream/deadline.js';

/** Why a request body did not arrive completely. */
export type RequestBodyFault =
  /** It ended before it was complete, or its framing is invalid. */
  | 'request_body_broken'
  /** It is larger than allowed. */
  | 'request_body_too_large'
  /** The client sent no byte of it for too long. */
  | 'request_body_stalled'
  /** The client sent it more slowly than the minimum rate. */
  | 'request_body_too_slow'
  /** The memory for bodies that are read ahead is full, and this body is the oldest. */
  | 'request_body_evicted';

/** A request body did not arrive completely. */
export class RequestBodyError extends Error {
  /** For the log and the error table. */
  readonly code: RequestBodyFault;
  constructor(code: RequestBodyFault) {
    super(code);
    this.name = 'RequestBodyError';
    this.code = code;
  }
}

/** Limits on request bodies; 0 means no limit. */
export interface BodyLimits {
  /** The largest whole body, in bytes. */
  readonly maxBytes: number;
  /** How long a client may send nothing while its body is read, in milliseconds. */
  readonly idleTimeout: number;
  /** The minimum average rate, in bytes a second, after {@link GRACE}. */
  readonly minRate: number;
  /** How much is read before the request takes an upstream connection, in bytes. */
  readonly buffer: number;
}

/** How long a body may arrive at any rate, in milliseconds. */
const GRACE = 5_000;
/** How often the rate is checked, in milliseconds. */
const LOOK = 1_000;
/** The approximate memory that a piece takes in addition to its bytes. */
const PIECE_OVERHEAD = 256;

/**
 * A request body on its way to the upstream. It is read ahead up to a limit, then streamed with
 * back-pressure. It is never parsed; its bytes are counted if there is a limit.
 *
 * It is a stream between the client's message and the upstream connection. If the upstream responds early,
 * this stream is destroyed, but not the client's message, which the response still needs.
 */
export class RequestBody extends Readable implements BufferedBody {
  readonly #message: IncomingMessage;
  readonly #limits: BodyLimits;
  readonly #buffered: BufferedBodies;
  readonly #watch: ((piece: Buffer) => void) | undefined;
  readonly #deadline = new Deadline(() => this.#look());
  /** Called once, when the request may take a connection. */
  #ready: (() => void) | undefined;
  #bytes = 0;
  /** The approximate memory of what is read ahead. */
  #held = 0;
  #complete = false;
  #minRate: number;
  #idleTimeout: number;
  /** When the current reading began, in monotonic milliseconds; undefined during a pause. */
  #readingSince: number | undefined;
  /** How long it was read before the last pause, in milliseconds. */
  #readFor = 0;
  #lastByte = performance.now();

  /**
   * @param buffered counts the memory of all bodies
   * @param watch called with each piece
   */
  constructor(
    message: IncomingMessage,
    limits: BodyLimits,
    buffered: BufferedBodies,
    watch?: (piece: Buffer) => void,
  ) {
    super({ autoDestroy: true, highWaterMark: limits.buffer });
    this.#message = message;
    this.#limits = limits;
    this.#buffered = buffered;
    this.#watch = watch;
    this.#minRate = limits.minRate;
    this.#idleTimeout = limits.idleTimeout;
    message.on('data', this.#onData);
    message.on('end', this.#onEnd);
    message.on('close', this.#onClose);
    if (isStream(message)) message.on('aborted', this.#onReset);
    message.on('error', this.#onError);
    message.pause();
  }

  /** Ends the body, because other bodies that are read ahead need the memory. */
  evict(): void {
    this.destroy(new RequestBodyError('request_body_evicted'));
  }

  /** Whether the whole body has arrived. */
  get complete(): boolean {
    return this.#complete;
  }

  /**
   * Reads ahead.
   *
   * @param ready called once, never synchronously, when the body is complete or the buffer is full; not
   *   called if the body fails before
   */
  fill(ready: () => void): void {
    this.#ready = ready;
    this.read(0);
  }

  /**
   * Removes the limits on rate and pauses. The upstream is responding, and the two directions may alternate.
   */
  allowAnyRate(): void {
    this.#minRate = 0;
    this.#idleTimeout = 0;
    this.#deadline.wait(0);
  }

  override _read(): void {
    this.#read();
    this.#message.resume();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#deadline.end();
    this.#buffered.release(this);
    const message = this.#message;
    message.off('data', this.#onData);
    message.off('end', this.#onEnd);
    message.off('close', this.#onClose);
    message.off('aborted', this.#onReset);
    message.pause();
    done(error);
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#bytes += chunk.length;
    const { maxBytes, buffer } = this.#limits;
    if (maxBytes > 0 && this.#bytes > maxBytes) {
      this.destroy(new RequestBodyError('request_body_too_large'));
      return;
    }
    this.#lastByte = performance.now();
    try {
      this.#watch?.(chunk);
    } catch (error) {
      this.destroy(error as Error);
      return;
    }
    const more = this.push(chunk);
    if (!more) this.#pause();
    if (this.#ready === undefined) return;
    this.#held += chunk.length + PIECE_OVERHEAD;
    if (this.#held >= buffer) this.#goOn();
    else this.#buffered.hold(this, chunk.length + PIECE_OVERHEAD);
  };

  /** Lets the request take its connection. */
  #goOn(): void {
    const ready = this.#ready;
    this.#ready = undefined;
    this.#buffered.release(this);
    ready?.();
  }

  #read(): void {
    if (this.#readingSince !== undefined) return;
    const now = performance.now();
    this.#readingSince = now;
    this.#lastByte = now;
    this.#deadline.wait(this.#lookAfter());
  }

  /** Pauses reading. While the upstream accepts no more, a pause or a low rate is not the client's fault. */
  #pause(): void {
    this.#message.pause();
    if (this.#readingSince === undefined) return;
    this.#readFor += performance.now() - this.#readingSince;
    this.#readingSince = undefined;
    this.#deadline.wait(0);
  }

  /** @returns milliseconds until the client can be too slow at the earliest; 0 for never */
  #lookAfter(): number {
    const idleTimeout = this.#idleTimeout;
    if (this.#minRate === 0) return idleTimeout;
    const untilRate = Math.max(GRACE - this.#readFor, LOOK);
    return idleTimeout === 0 ? untilRate : Math.min(idleTimeout, untilRate);
  }

  #look(): void {
    if (this.#readingSince === undefined) return;
    const now = performance.now();
    const idleTimeout = this.#idleTimeout;
    const readFor = this.#readFor + now - this.#readingSince;
    if (idleTimeout > 0 && now - this.#lastByte >= idleTimeout - 1)
      this.destroy(new RequestBodyError('request_body_stalled'));
    else if (readFor >= GRACE && this.#bytes < (this.#minRate * readFor) / 1000) {
      this.destroy(new RequestBodyError('request_body_too_slow'));
    } else {
      const untilIdle = idleTimeout === 0 ? Number.POSITIVE_INFINITY : this.#lastByte + idleTimeout - now;
      const untilRate = this.#minRate === 0 ? Number.POSITIVE_INFINITY : Math.max(GRACE - readFor, LOOK);
      const next = Math.min(untilIdle, untilRate);
      this.#deadline.wait(Number.isFinite(next) ? next : 0);
    }
  }

  readonly #onEnd = (): void => {
    this.#deadline.end();
    this.#complete = true;
    this.#readingSince = undefined;
    this.push(null);
    if (this.#ready !== undefined) this.#goOn();
  };

  readonly #onClose = (): void => {
    if (!this.#message.complete) this.#onReset();
  };

  /** A reset HTTP/2 stream also emits `end` later, with any error code, although the body is incomplete. */
  readonly #onReset = (): void => {
    this.destroy(new RequestBodyError('request_body_broken'));
  };

  readonly #onError = (): void => {
    this.destroy(new RequestBodyError('request_body_broken'));
  };
}
