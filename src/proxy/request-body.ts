import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { isStream } from '../parse/parsed-request.js';
import type { BufferedBodies, BufferedBody } from './buffered-bodies.js';
import { Deadline } from './upstream/deadline.js';

/** Why a request's body did not arrive. */
export type RequestBodyFault =
  /** It ended before it was whole, or its framing broke. */
  | 'request_body_broken'
  /** It is larger than allowed. */
  | 'request_body_too_large'
  /** The client sent nothing of it for too long. */
  | 'request_body_stalled'
  /** The client sent it at less than the least rate. */
  | 'request_body_too_slow'
  /** Bodies that are read ahead have filled the memory that they share, and this one had been there longest. */
  | 'request_body_evicted';

/** A request's body did not arrive. */
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
  /** Of a whole body, in bytes. */
  readonly maxBytes: number;
  /** How long a client may send nothing while its body is read, in milliseconds. */
  readonly idleTimeout: number;
  /** The least rate on average, in bytes a second, after {@link GRACE}. */
  readonly minRate: number;
  /** How much is read before the request takes a connection to its upstream, in bytes. */
  readonly buffer: number;
}

/** How long a body may come at any rate, in milliseconds. */
const GRACE = 5_000;
/** How often the rate is looked at, in milliseconds. */
const LOOK = 1_000;
/** What a piece takes in memory besides its bytes, about. */
const PIECE_OVERHEAD = 256;

/**
 * A request's body on its way upstream: read ahead up to a bound, then streamed with back-pressure, never parsed,
 * counted where it has a limit.
 *
 * It stands between the client's message and the connection to the upstream: when the upstream answers early, this
 * stream is destroyed, and the client's message, which its answer still needs, is not.
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
  /** What is read ahead takes in memory, about. */
  #held = 0;
  #complete = false;
  #minRate: number;
  #idleTimeout: number;
  /** In monotonic milliseconds: since when it is read without a pause; undefined during one. */
  #readingSince: number | undefined;
  /** How long it was read before that, in milliseconds. */
  #readFor = 0;
  #lastByte = performance.now();

  /**
   * @param buffered counts what bodies hold in memory
   * @param watch is shown each piece on its way
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

  /** Ends it, because bodies that are read ahead need the memory. */
  evict(): void {
    this.destroy(new RequestBodyError('request_body_evicted'));
  }

  /** Whether all of it has arrived. */
  get complete(): boolean {
    return this.#complete;
  }

  /**
   * Reads ahead.
   *
   * @param ready called once, later: when the body is whole or the buffer is full; not where it breaks before
   */
  fill(ready: () => void): void {
    this.#ready = ready;
    this.read(0);
  }

  /** From here on it may come as slowly as it likes: the upstream answers, and both may take turns. */
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

  /** The request may take its connection. */
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

  /** While the upstream does not take more, neither pause nor rate is the client's. */
  #pause(): void {
    this.#message.pause();
    if (this.#readingSince === undefined) return;
    this.#readFor += performance.now() - this.#readingSince;
    this.#readingSince = undefined;
    this.#deadline.wait(0);
  }

  /** @returns milliseconds until the client may be late; 0 for never */
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

  /** A stream of HTTP/2 that was reset, with whatever code, also says that it has ended: later, and it is not true. */
  readonly #onReset = (): void => {
    this.destroy(new RequestBodyError('request_body_broken'));
  };

  readonly #onError = (): void => {
    this.destroy(new RequestBodyError('request_body_broken'));
  };
}
