import { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import { Deadline } from '../proxy/upstream/deadline.js';
import { BODY_TIMEOUT, Interrupted } from '../proxy/upstream/interrupted.js';

/**
 * The body of an upstream's response, for the reply: with back-pressure, and with a limit to how long the upstream sends
 * nothing of it or the client reads nothing.
 */
export class ResponseBody extends Readable {
  readonly #controller: Dispatcher.DispatchController;
  readonly #idleTimeout: number;
  readonly #deadline = new Deadline(() => this.#onLate());
  #ended = false;

  /** @param idleTimeout the longest pause, in milliseconds; 0 for any */
  constructor(controller: Dispatcher.DispatchController, idleTimeout: number) {
    super({ autoDestroy: true });
    this.#controller = controller;
    this.#idleTimeout = idleTimeout;
    this.#deadline.wait(idleTimeout);
  }

  /** A piece has come. */
  add(piece: Buffer): void {
    if (!this.push(piece)) this.#controller.pause();
    this.#deadline.wait(this.#idleTimeout);
  }

  /** The exchange goes on elsewhere: a piece of the request was sent. */
  goesOn(): void {
    if (!this.#ended && !this.destroyed) this.#deadline.wait(this.#idleTimeout);
  }

  /** It is whole. */
  end(): void {
    this.#ended = true;
    this.push(null);
    // What the upstream has sent already waits for the client alone.
    if (this.readableLength === 0) this.#deadline.end();
    else this.#deadline.wait(this.#idleTimeout);
  }

  override _read(): void {
    if (this.#ended) return;
    if (this.#controller.paused) this.#deadline.wait(this.#idleTimeout);
    this.#controller.resume();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#deadline.end();
    if (!this.#ended) this.#controller.abort(error ?? new Interrupted('client_closed'));
    done(error);
  }

  #onLate(): void {
    const ofClient = this.#ended || this.#controller.paused;
    this.destroy(new Interrupted(ofClient ? 'client_stalled' : BODY_TIMEOUT));
  }
}
