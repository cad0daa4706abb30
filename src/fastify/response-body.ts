import { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import { Deadline } from '../proxy/upstream/deadline.js';
import { BODY_TIMEOUT, CLIENT_CLOSED, Interrupted } from '../proxy/upstream/interrupted.js';

/**
 * The body of an upstream's response, to be sent in the reply. It applies back-pressure. It limits how long
 * the upstream may send nothing, and how long the client may read nothing.
 */
export class ResponseBody extends Readable {
  readonly #controller: Dispatcher.DispatchController;
  readonly #idleTimeout: number;
  readonly #deadline = new Deadline(() => this.#onLate());
  #ended = false;

  /** @param idleTimeout the longest pause, in milliseconds; 0 means no limit */
  constructor(controller: Dispatcher.DispatchController, idleTimeout: number) {
    super({ autoDestroy: true });
    this.#controller = controller;
    this.#idleTimeout = idleTimeout;
    this.#deadline.wait(idleTimeout);
  }

  /** Adds a piece that the upstream has sent. */
  add(piece: Buffer): void {
    if (!this.push(piece)) this.#controller.pause();
    this.#deadline.wait(this.#idleTimeout);
  }

  /** Restarts the timeout: a piece of the request's body was sent, so the exchange is not idle. */
  goesOn(): void {
    if (!this.#ended && !this.destroyed) this.#deadline.wait(this.#idleTimeout);
  }

  /** Marks the body as complete. */
  end(): void {
    this.#ended = true;
    this.push(null);
    // Everything is here. Only the client can be late now.
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
    if (!this.#ended) this.#controller.abort(error ?? new Interrupted(CLIENT_CLOSED));
    done(error);
  }

  #onLate(): void {
    const ofClient = this.#ended || this.#controller.paused;
    this.destroy(new Interrupted(ofClient ? 'client_stalled' : BODY_TIMEOUT));
  }
}
