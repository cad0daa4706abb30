import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { isStream } from '../parse/parsed-request.js';
import { reclaim } from './garbage-collection.js';
import { Deadline } from './upstream/deadline.js';

/** The client's body ended before it was whole. */
export class RequestBodyBroken extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UploadBroken';
  }
}

/** The client's body is larger than allowed. */
export class RequestBodyTooLarge extends Error {
  constructor() {
    super('the request body is too large');
    this.name = 'UploadTooLarge';
  }
}

/** The client sent nothing of its body for too long. */
export class RequestBodyStalled extends Error {
  constructor() {
    super('the request body stalled');
    this.name = 'UploadStalled';
  }
}

/**
 * A request's body on its way upstream: streamed with back-pressure, never parsed, counted where it has a limit.
 *
 * It stands between the client's message and undici, because undici destroys the stream it is given when the
 * upstream answers early, and destroying the client's message would take the answer's connection with it.
 */
export class RequestBody extends Readable {
  readonly #message: IncomingMessage;
  readonly #limit: number;
  readonly #idleTimeout: number;
  readonly #deadline = new Deadline(() => this.#onIdle());
  readonly #watch: ((piece: Buffer) => void) | undefined;
  #bytes = 0;

  /**
   * @param limit bytes, 0 for none
   * @param idleTimeout milliseconds the client may pause while the upstream waits for it, 0 for ever
   * @param watch is shown each piece on its way
   */
  constructor(message: IncomingMessage, limit: number, idleTimeout: number, watch?: (piece: Buffer) => void) {
    super({ autoDestroy: true, highWaterMark: 65_536 });
    this.#message = message;
    this.#limit = limit;
    this.#watch = watch;
    this.#idleTimeout = idleTimeout;
    this.#deadline.wait(idleTimeout);
    message.on('data', this.#onData);
    message.on('end', this.#onEnd);
    message.on('close', this.#onClose);
    if (isStream(message)) message.on('aborted', this.#onReset);
    message.on('error', this.#onError);
    message.pause();
  }

  override _read(): void {
    this.#deadline.wait(this.#idleTimeout);
    this.#message.resume();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#deadline.end();
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
    if (this.#limit > 0 && this.#bytes > this.#limit) {
      this.destroy(new RequestBodyTooLarge());
      return;
    }
    this.#deadline.wait(this.#idleTimeout);
    reclaim(chunk.length);
    try {
      this.#watch?.(chunk);
    } catch (error) {
      this.destroy(error as Error);
      return;
    }
    if (!this.push(chunk)) this.#message.pause();
  };

  #onIdle(): void {
    // While the upstream does not read, the pause is not the client's.
    if (this.#message.isPaused()) this.#deadline.wait(this.#idleTimeout);
    else this.destroy(new RequestBodyStalled());
  }

  readonly #onEnd = (): void => {
    this.#deadline.end();
    this.push(null);
  };

  readonly #onClose = (): void => {
    if (!this.#message.complete) this.#onReset();
  };

  /** A stream of HTTP/2 that was reset, with whatever code, also says that it has ended: later, and it is not true. */
  readonly #onReset = (): void => {
    this.destroy(new RequestBodyBroken('the client left in the middle of its body'));
  };

  readonly #onError = (): void => {
    this.destroy(new RequestBodyBroken('the request body is broken'));
  };
}
