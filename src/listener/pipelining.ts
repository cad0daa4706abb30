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
 * The requests of the HTTP/1.1 connections of one listener.
 *
 * Serves a bounded number of the requests of one connection at a time, in their order; the others wait, and what follows
 * them stays unread (RFC 9112 §9.3.2). Node itself begins every request that it has parsed, so that one connection could
 * take every place in the gateway. Streams of HTTP/2 have a limit of their own.
 *
 * A client that leaves cancels the requests that are at work, and those that wait are never begun. Node says so to the
 * response that has the connection; here the others are told as well.
 */
export class Pipelines {
  readonly #limit: number;
  readonly #serve: RequestListener;
  readonly #pipelines = new WeakMap<Socket, Pipeline>();
  readonly #shared = { waiting: 0 };

  /**
   * @param limit requests of a connection at work, at least 1
   * @param serve begins one
   */
  constructor(limit: number, serve: RequestListener) {
    this.#limit = limit;
    this.#serve = serve;
  }

  /** Takes each request of the listener. */
  readonly serve: RequestListener = (message, response) => {
    if (isStream(message)) this.#serve(message, response);
    else this.#open(message.socket).add(message, response);
  };

  /** The requests of a connection. Undefined before the head of the first one has arrived. */
  of(socket: Socket): Pipeline | undefined {
    return this.#pipelines.get(socket);
  }

  /**
   * Whether a connection can be closed and nobody misses an answer: no request has arrived on it that is not answered
   * yet, and it has not become a connection of another protocol.
   */
  isUnused(socket: Socket): boolean {
    const pipeline = this.#pipelines.get(socket);
    return pipeline === undefined || (pipeline.isAnswered && !pipeline.handedOver);
  }

  /**
   * Takes a connection that Node has handed over for an Upgrade or CONNECT. Where earlier requests still wait for their
   * answers, it ends after these.
   *
   * @returns whether it can be used: no answer is owed on it
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

/** The requests of one connection, whose answers go out in the order in which they came. */
export class Pipeline {
  readonly #socket: Socket;
  readonly #limit: number;
  /** Of all connections. */
  readonly #shared: { waiting: number };
  readonly #serve: RequestListener;
  readonly #atWork: ServerResponse[] = [];
  #waiting: [IncomingMessage, ServerResponse][] = [];
  /** To the last request whose head has arrived. */
  #last: ServerResponse | undefined;
  /** To the one before it, as long as that is not over. */
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

  /** Whether every request has its answer. */
  get isAnswered(): boolean {
    return this.#last === undefined || isOver(this.#last);
  }

  /** Whether a request that has arrived whole still waits for its answer. */
  get owesAnswers(): boolean {
    const last = this.#last;
    if (this.#earlier !== undefined && !isOver(this.#earlier)) return true;
    return last?.req.complete === true && !isOver(last);
  }

  /** The response to the request whose body has not arrived whole, answered or not. */
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
    // Node has taken this off: without it an answer that waits for its reader would wait for ever.
    this.#socket.on('drain', () => {
      for (const response of this.#atWork) if (response.socket === this.#socket) response.emit('drain');
    });
    this.endAfterAnswers();
    return false;
  }

  /** Ends the connection, on which no further request is read, when it has brought the answers that it still owes. */
  endAfterAnswers(): void {
    if (this.#ending) return;
    this.#ending = true;
    const socket = this.#socket;
    const { arriving } = this;
    const final = arriving === undefined ? this.#last : this.#earlier;
    const end = (): void => {
      // What is left of a body that is still arriving will never be read.
      if (arriving === undefined) socket.end(() => socket.destroy());
      else socket.destroy();
    };
    if (final === undefined || isOver(final)) end();
    else final.once('close', end);
  }

  /** Begins a request, or has it wait for those before it. */
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

/** Whether a response has left its connection for the next one, or its connection is gone. */
function isOver(response: ServerResponse): boolean {
  return response.closed || (response.writableFinished && response.socket === null);
}

/** Whether a response has not been written to its last byte. */
function isAtWork(response: ServerResponse): boolean {
  return !response.writableFinished && !response.closed && !response.destroyed;
}
