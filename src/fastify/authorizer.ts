import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest, HookHandlerDoneFunction } from 'fastify';
import type { Denial } from '../model/errors.js';
import { Authorization, type AuthorizationOptions } from './authorization.js';
import { Connections } from './connections.js';
import { sendRefusal } from './reply.js';

/** Decides about the requests of an application: once per request, however many hooks ask. */
export class Authorizer {
  readonly #options: AuthorizationOptions;
  readonly #authorizations = new WeakMap<IncomingMessage, Authorization>();
  /**
   * Connections that end with a response that was already sent. Nothing else on them is processed (RFC 9112
   * §9.6).
   */
  readonly #ended = new WeakSet<Socket>();
  readonly #connections = new Connections();

  constructor(options: AuthorizationOptions) {
    this.#options = options;
  }

  /** The hook; see `Scopegate.authorize`. */
  readonly authorize = (
    request: FastifyRequest,
    reply: FastifyReply,
    done: HookHandlerDoneFunction,
  ): void => {
    // If it were called with `await`, the caller would go on after a refusal.
    if (typeof done !== 'function') {
      throw new TypeError(
        'scopegate.authorize is a hook: pass it to onRequest, preValidation or preHandler, and do not call it yourself',
      );
    }
    const before = this.#authorizations.get(request.raw);
    if (before !== undefined) {
      before.again(done);
      return;
    }
    if (this.#ended.has(request.raw.socket)) {
      reply.hijack();
      return;
    }
    const full = this.#options.admit('fastify', request.raw.method ?? '');
    if (full !== undefined) {
      // Overloaded: the request is refused before it is read and gets no audit line of its own.
      sendRefusal(reply, full, this.#options.realm);
      return;
    }
    this.#start(request, reply).decide(done);
  };

  /** Finds the decision about a request, for the code that forwards it; undefined if no hook has asked. */
  of(request: FastifyRequest): Authorization | undefined {
    return this.#authorizations.get(request.raw);
  }

  /** Refuses and records a request that the router itself refuses, before any hook. */
  refuseUnrouted(request: FastifyRequest, reply: FastifyReply, denial: Denial): void {
    const full = this.#options.admit('fastify', request.raw.method ?? '');
    if (full !== undefined) sendRefusal(reply, full, this.#options.realm);
    else this.#start(request, reply).refuse({ allowed: false, denial });
  }

  #start(request: FastifyRequest, reply: FastifyReply): Authorization {
    const authorization = new Authorization(this.#options, this.#ended, this.#connections, request, reply);
    this.#authorizations.set(request.raw, authorization);
    return authorization;
  }
}
