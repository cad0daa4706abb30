import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { isStream } from '../parse/parsed-request.js';

/**
 * Requests of all connections together that may wait behind earlier ones. What one read brings of a pipeline, Node
 * parses at once, thousands of requests where they are small, and each takes memory.
 */
const MAX_WAITING = 4_096;
/** A connection with no more waiting requests than this is not the one that has filled the memory. */
const SHARE = 64;

/**
 * Serves a bounded number of the requests of one HTTP/1.1 connection at a time, in their order; the others wait, and
 * what follows them stays unread (RFC 9112 §9.3.2). Node itself begins every request that it has parsed, so that one
 * connection could take every place in the gateway. Streams of HTTP/2 have a limit of their own.
 *
 * A client that leaves cancels the requests that are at work, and those that wait are never begun. Node says so to the
 * response that has the connection; here the others are told as well.
 *
 * @param limit requests of a connection at work, at least 1
 * @param serve begins one
 */
export function boundPipelines(limit: number, serve: RequestListener): RequestListener {
  const pipelines = new WeakMap<Socket, Pipeline>();
  const shared = { waiting: 0 };
  return (message, response) => {
    if (isStream(message)) {
      serve(message, response);
      return;
    }
    const { socket } = message;
    let pipeline = pipelines.get(socket);
    if (pipeline === undefined) {
      pipeline = new Pipeline(socket, limit, shared, serve);
      pipelines.set(socket, pipeline);
    }
    pipeline.add(message, response);
  };
}

/** The requests of one connection. */
class Pipeline {
  readonly #socket: Socket;
  readonly #limit: number;
  /** Of all connections. */
  readonly #shared: { waiting: number };
  readonly #serve: RequestListener;
  readonly #atWork: ServerResponse[] = [];
  #waiting: [IncomingMessage, ServerResponse][] = [];

  constructor(socket: Socket, limit: number, shared: { waiting: number }, serve: RequestListener) {
    this.#socket = socket;
    this.#limit = limit;
    this.#shared = shared;
    this.#serve = serve;
    socket.once('close', () => this.#onClose());
  }

  /** Begins a request, or has it wait for those before it. */
  add(message: IncomingMessage, response: ServerResponse): void {
    if (this.#waiting.length === 0 && this.#hasRoom()) {
      this.#atWork.push(response);
      this.#serve(message, response);
      return;
    }
    if (this.#shared.waiting >= MAX_WAITING && this.#waiting.length >= SHARE) {
      this.#socket.destroy();
      return;
    }
    this.#shared.waiting++;
    this.#waiting.push([message, response]);
    if (this.#waiting.length > 1) return;
    this.#socket.pause();
    for (const begun of this.#atWork) begun.once('close', this.#next);
  }

  /** Whether one more may begin. Most connections have one request at a time, which is over when the next one comes. */
  #hasRoom(): boolean {
    const atWork = this.#atWork;
    let kept = 0;
    for (const response of atWork) if (isAtWork(response)) atWork[kept++] = response;
    atWork.length = kept;
    return kept < this.#limit;
  }

  readonly #next = (): void => {
    while (this.#waiting.length > 0 && this.#hasRoom() && !this.#socket.destroyed) {
      const [message, response] = this.#waiting.shift() as [IncomingMessage, ServerResponse];
      this.#shared.waiting--;
      this.#atWork.push(response);
      if (this.#waiting.length > 0) response.once('close', this.#next);
      // What follows this one, its body first, may be read.
      else this.#socket.resume();
      this.#serve(message, response);
    }
  };

  #onClose(): void {
    this.#shared.waiting -= this.#waiting.length;
    this.#waiting = [];
    for (const response of this.#atWork) {
      // Without a connection of its own, Node does not tell it.
      if (response.socket === null && !response.closed) response.emit('close');
    }
    this.#atWork.length = 0;
  }
}

function isAtWork(response: ServerResponse): boolean {
  return !response.writableFinished && !response.closed && !response.destroyed;
}
