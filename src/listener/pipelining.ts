import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { isStream } from '../parse/parsed-request.js';

/**
 * The most waiting requests of all connections together. Node parses everything that one read brings at once.
 * That can be thousands of small pipelined requests, and each takes memory.
 */
const MAX_WAITING = 4_096;
/** A connection with at most this many waiting requests is not closed, because it did not fill the memory. */
const SHARE = 64;

/**
 * The requests of the HTTP/1.1 connections of one listener.
 *
 * Serves a limited number of requests of one connection at a time, in their order. The others wait, and the
 * bytes after them stay unread (RFC 9112 §9.3.2). Node itself starts every request that it has parsed, so one
 * connection could otherwise use the whole capacity of the gateway. HTTP/2 streams have a limit of their own.
 *
 * If a client disconnects, its current requests are cancelled and its waiting requests never start. Node
 * emits `close` only on the response that currently has the connection; this class emits it on the others.
 */
export class Pipelines {
  readonly #limit: number;
  readonly #serve: RequestListener;
  readonly #pipelines = new WeakMap<Socket, Pipeline>();
  readonly #shared = { waiting: 0 };

  /**
   * @param limit the most requests of a connection that are served at once, at least 1
   * @param serve starts one request
   */
  constructor(limit: number, serve: RequestListener) {
    this.#limit = limit;
    this.#serve = serve;
  }

  /** Gets each request of the listener. */
  readonly serve: RequestListener = (message, response) => {
    if (isStream(message)) this.#serve(message, response);
    else this.#open(message.socket).add(message, response);
  };

  /** The requests of a connection; undefined before the first head has arrived. */
  of(socket: Socket): Pipeline | undefined {
    return this.#pipelines.get(socket);
  }

  /**
   * Whether a connection can be closed without losing a response: every request on it is answered, and it was
   * not handed over to another protocol.
   */
  isUnused(socket: Socket): boolean {
    const pipeline = this.#pipelines.get(socket);
    return pipeline === undefined || (pipeline.isAnswered && !pipeline.handedOver);
  }

  /**
   * Takes over a connection that Node has handed over for an Upgrade or CONNECT. If earlier requests still
   * wait for their responses, the connection closes after these.
   *
   * @returns whether the connection can be used: it has no unanswered request
   */
  handOver(socket: Socket): boolean {
    return this.#open(socket).handOver();
  }

  #open(socket: Socket): Pipeline {
    let pipeline = this.#pipelines.get(socket);
    if (pipeline === undefined) {
      pipeline = new Pipeline(socket, this.#limit, this.#shared, this.#serve);
      this.#pipelines.set(socket, pipeline);
    }
    return pipeline;
  }
}

/** The requests of one connection. Their responses are sent in the order of the requests. */
export class Pipeline {
  readonly #socket: Socket;
  readonly #limit: number;
  /** The count of all connections together. */
  readonly #shared: { waiting: number };
  readonly #serve: RequestListener;
  readonly #atWork: ServerResponse[] = [];
  #waiting: [IncomingMessage, ServerResponse][] = [];
  /** The response to the last request whose head has arrived. */
  #last: ServerResponse | undefined;
  /** The response to the request before it, until that is over. */
  #earlier: ServerResponse | undefined;
  #ending = false;
  #handedOver = false;

  constructor(socket: Socket, limit: number, shared: { waiting: number }, serve: RequestListener) {
    this.#socket = socket;
    this.#limit = limit;
    this.#shared = shared;
    this.#serve = serve;
    socket.once('close', () => this.#onClose());
  }

  /** Whether every request is answered. */
  get isAnswered(): boolean {
    return this.#last === undefined || isOver(this.#last);
  }

  /** Whether a request that has arrived completely still waits for its response. */
  get owesAnswers(): boolean {
    const last = this.#last;
    if (this.#earlier !== undefined && !isOver(this.#earlier)) return true;
    return last?.req.complete === true && !isOver(last);
  }

  /** The response to the request whose body has not arrived completely, whether answered or not. */
  get arriving(): ServerResponse | undefined {
    return this.#last?.req.complete === false ? this.#last : undefined;
  }

  /** Whether Node has handed the connection over for another protocol. */
  get handedOver(): boolean {
    return this.#handedOver;
  }

  /** @returns see {@link Pipelines.handOver} */
  handOver(): boolean {
    this.#handedOver = true;
    if (!this.owesAnswers) return true;
    // Node has removed its own `drain` listener. Without one, a response that waits for a slow reader would
    // wait for ever.
    this.#socket.on('drain', () => {
      for (const response of this.#atWork) if (response.socket === this.#socket) response.emit('drain');
    });
    this.endAfterAnswers();
    return false;
  }

  /** Closes the connection after the responses that are still due. No further request is read on it. */
  endAfterAnswers(): void {
    if (this.#ending) return;
    this.#ending = true;
    const socket = this.#socket;
    const { arriving } = this;
    const final = arriving === undefined ? this.#last : this.#earlier;
    const end = (): void => {
      // The rest of a body that is still arriving will never be read.
      if (arriving === undefined) socket.end(() => socket.destroy());
      else socket.destroy();
    };
    if (final === undefined || isOver(final)) end();
    else final.once('close', end);
  }

  /** Starts a request, or lets it wait for earlier ones. */
  add(message: IncomingMessage, response: ServerResponse): void {
    this.#earlier = this.isAnswered ? undefined : this.#last;
    this.#last = response;
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

  /**
   * Whether one more request may start. Most connections have one request at a time, which is over when the
   * next one arrives.
   */
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
      // No request waits any more, so the bytes after this one, starting with its body, may be read.
      else this.#socket.resume();
      this.#serve(message, response);
    }
  };

  #onClose(): void {
    this.#shared.waiting -= this.#waiting.length;
    this.#waiting = [];
    for (const response of this.#atWork) {
      // Node emits no `close` on a response that does not have the connection.
      if (response.socket === null && !response.closed) response.emit('close');
    }
    this.#atWork.length = 0;
  }
}

/** Whether a response is complete and has released its connection, or its connection is closed. */
function isOver(response: ServerResponse): boolean {
  return response.closed || (response.writableFinished && response.socket === null);
}

/** Whether a response is not completely written yet. */
function isAtWork(response: ServerResponse): boolean {
  return !response.writableFinished && !response.closed && !response.destroyed;
}
