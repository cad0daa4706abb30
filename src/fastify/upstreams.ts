import httpProxy from '@fastify/http-proxy';
import type {
  FastifyError,
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  HookHandlerDoneFunction,
  RouteOptions,
} from 'fastify';
import type { UpstreamOptions } from '../app/upstream-options.js';
import type { Revocations } from '../auth/introspection/revocation.js';
import type { Settings } from '../config/settings.js';
import { corsFields } from '../listener/cors.js';
import type { Allowed } from '../model/decision.js';
import { type Denial, denial } from '../model/errors.js';
import { METHODS } from '../model/methods.js';
import { hasBody } from '../parse/fields.js';
import { isStream } from '../parse/parsed-request.js';
import { BufferedBodies } from '../proxy/buffered-bodies.js';
import { prepareRequest, upstreamTarget } from '../proxy/prepare-request.js';
import { drain } from '../proxy/refusal.js';
import { RequestBody } from '../proxy/request-body.js';
import type { Authorization } from './authorization.js';
import type { Authorizer } from './authorizer.js';
import { type OnResponse, UpstreamExchange } from './exchange.js';
import type { UpstreamRoutes } from './plugin-types.js';
import { Pools } from './pools.js';

/** What requests to upstreams need from the plugin. */
export interface UpstreamsOptions {
  readonly settings: Settings;
  readonly upstream: UpstreamOptions;
  readonly authorizer: Authorizer;
  /** Whether the application is closing. */
  readonly isClosing: () => boolean;
  /** Watches for token revocations, so that revoked tokens are not served from the cache. */
  readonly revocations: Revocations;
}

/** Forwards requests to the services of the rules, through `@fastify/http-proxy`. */
export class Upstreams {
  readonly #options: UpstreamsOptions;
  readonly #bodies = new BufferedBodies();
  readonly #exchanges = new WeakMap<FastifyRequest, UpstreamExchange>();
  readonly pools: Pools;

  constructor(options: UpstreamsOptions) {
    const { settings, upstream } = options;
    this.#options = options;
    this.pools = new Pools({ ...settings.forward, ...upstream });
  }

  /** Memory of request bodies that are buffered, in bytes. */
  get bufferedBytes(): number {
    return this.#bodies.bytes;
  }

  /**
   * Declares the routes in a Fastify context of their own, so that their options apply to no other route.
   *
   * @throws Error for a prefix that is not a plain path, or a method that no rule can have
   */
  declare(app: FastifyInstance, { prefix = '', methods = METHODS }: UpstreamRoutes): void {
    if (prefix !== '' && !PREFIX.test(prefix)) {
      throw new Error(
        `scopegate: upstreams.prefix "${prefix}" is not a plain path: write a path such as "/api"`,
      );
    }
    const unknown = methods.find((method) => !METHODS.includes(method));
    if (unknown !== undefined) {
      throw new Error(`scopegate: upstreams.methods: "${unknown}" is not one of ${METHODS.join(', ')}`);
    }
    const { authorizer } = this.#options;
    app.register(
      async (scope) => {
        // Bodies are forwarded unchanged, so no parser of the application may read them.
        scope.removeAllContentTypeParsers();
        scope.setErrorHandler((error: FastifyError, request, reply) => this.#onError(error, request, reply));
        // Run after the onRequest hooks that other plugins add to routes: a rate limit must come before
        // introspection.
        scope.addHook('onRoute', (route: RouteOptions) => {
          route.onRequest = [route.onRequest ?? [], authorizer.authorize, takeAnyType].flat();
        });
        scope.register(httpProxy, {
          upstream: '',
          rewritePrefix: scope.prefix === '' ? '/' : scope.prefix,
          // Without a prefix, the wildcard route also matches "/", and the application may have its own route
          // for it.
          routes: scope.prefix === '' ? ['/*'] : ['/', '/*'],
          httpMethods: [...methods],
          internalRewriteLocationHeader: false,
          disableRequestLogging: true,
          disableCache: true,
          retryMethods: [],
          undici: { request: (options: object, done: OnResponse) => exchangeOf(options).send(done) } as never,
          handler: (request, reply, destination, options) =>
            this.#handle(request, reply, destination, () => reply.from('/', options)),
          replyOptions: {
            getUpstream: (request) => this.#allowed(request as FastifyRequest).rule.upstream.origin,
            rewriteRequestHeaders: (request) =>
              ({ [EXCHANGE]: this.#exchanges.get(request as FastifyRequest) }) as never,
            onError: (reply, { error }) => this.#onFailed(reply as unknown as FastifyReply, error),
            onResponse: (request, reply, response) =>
              this.#respond(request as FastifyRequest, reply as unknown as FastifyReply, response as never),
          },
        });
      },
      { prefix },
    );
  }

  /** @throws Error if no hook has allowed the request */
  #allowed(request: FastifyRequest): Allowed {
    const decision = this.#options.authorizer.of(request)?.decision;
    if (decision?.allowed !== true) throw new Fault('a request came to an upstream without a decision');
    return decision;
  }

  /** @param destination the path that `@fastify/http-proxy` would send, made from what the router saw */
  #handle(request: FastifyRequest, reply: FastifyReply, destination: string, send: () => unknown): unknown {
    const decision = this.#allowed(request);
    const authorization = this.#options.authorizer.of(request) as Authorization;
    if (destination !== decision.path || !authorization.unchanged) {
      throw new Fault('the path to send is not the one that was decided about');
    }
    const stopped = this.#prepare(request, reply, authorization, decision);
    if (stopped === 'final') return reply;
    if (stopped === undefined) return send();
    authorization.result = { error: stopped.error };
    authorization.answer(stopped);
    return reply;
  }

  /**
   * Creates the exchange.
   *
   * @returns why there is none: a refusal, or `final` if the request is answered already; undefined if there is
   *   one
   */
  #prepare(
    request: FastifyRequest,
    reply: FastifyReply,
    authorization: Authorization,
    decision: Allowed,
  ): Denial | 'final' | undefined {
    const { settings, upstream, revocations } = this.#options;
    const { forward } = settings;
    const message = request.raw;
    const { parsed, record, table } = authorization;
    if (parsed === undefined) throw new Fault('a request came to an upstream unread');
    const { fields, target } = parsed;
    const { rule } = decision;
    const path = upstreamTarget(decision, target.query);
    const headers = prepareRequest(
      {
        message,
        fields,
        peer: record.peer,
        requestId: record.requestId,
        trace: record.trace,
        upstream: rule.upstream,
        preserveHost: rule.preserveHost,
        path,
        reservedHeaders: table?.reservedHeaders,
        removal: decision.removal,
        mutations: decision.mutations,
      },
      upstream,
    );
    if (headers === 'final') {
      reply.code(204).send();
      drain(message);
      return headers;
    }
    if (!Array.isArray(headers)) return headers;
    const withBody = hasBody(fields);
    // Fastify assumes that an HTTP/2 request without a length has no body, and then passes none on.
    if (withBody && request.body !== undefined && request.body !== message) {
      throw new Fault('a hook of the application has replaced the body of a request to an upstream');
    }
    if (fields.contentLength !== undefined && withBody) {
      headers.push('content-length', String(fields.contentLength));
    }
    const revocation = revocations.of(decision, message.method, fields, target.query);
    const watch = (piece: Buffer): void => {
      exchange.onPiece();
      revocation?.watch(piece);
    };
    const exchange: UpstreamExchange = new UpstreamExchange({
      request,
      reply,
      authorization,
      pool: this.pools.of(rule.upstream),
      path,
      fields: headers,
      requestBody: withBody ? new RequestBody(message, upstream.body, this.#bodies, watch) : undefined,
      timeout: rule.timeout,
      idleTimeout: forward.idleTimeout,
      overlay: {
        cors: corsFields(rule, fields),
        isPrivate: decision.query !== undefined,
        nonce: decision.nonce,
      },
      revocation,
    });
    this.#exchanges.set(request, exchange);
    return undefined;
  }

  /** Passes the response to the reply, so that hooks of the application see it. */
  #respond(
    request: FastifyRequest,
    reply: FastifyReply,
    { stream }: { stream: NodeJS.ReadableStream },
  ): void {
    // Otherwise the connection would stay open and the application could not close.
    if (this.#options.isClosing() && !isStream(request.raw)) reply.header('connection', 'close');
    if (this.#exchanges.get(request)?.isBodiless === true) {
      stream.resume();
      reply.send();
    } else {
      // The head goes out with the first piece of the body if that comes at once. Otherwise it goes out
      // alone, because the client of an event stream waits for it. `pipe` is emitted after the hooks of other
      // plugins have run. A body of known length is no event stream, so its head can wait.
      if (!reply.hasHeader('content-length')) {
        reply.raw.once('pipe', () => process.nextTick(flushHead, reply));
      }
      reply.send(stream);
    }
  }

  /** Called when the exchange fails before the response begins. */
  #onFailed(reply: FastifyReply, error: Error): void {
    const cause = error.cause instanceof Error ? error.cause : error;
    this.#exchanges.get(reply.request)?.refuse(cause);
  }

  /** Passes errors of the application's own hooks on to its error handler. */
  #onError(error: FastifyError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const authorization = this.#options.authorizer.of(request);
    if (authorization === undefined) return reply.send(error);
    if (error instanceof Fault) authorization.fail('request to an upstream', error);
    else if (error.message === INVALID_DESTINATION) {
      authorization.answer(denial('malformed_target', 'the path has dot segments between encoded slashes'));
    } else return reply.send(error);
    return reply;
  }
}

function flushHead({ raw }: FastifyReply): void {
  // `flushHeaders` would write the head as UTF-8 and change values that are not ASCII.
  if (!raw.headersSent && !raw.destroyed) raw.write('', 'latin1');
}

/**
 * Hides an unusual Content-Type from Fastify, which would refuse the request. No body is parsed here, so the
 * type only matters to the upstream.
 */
function takeAnyType(request: FastifyRequest, _reply: FastifyReply, done: HookHandlerDoneFunction): void {
  const type = request.headers['content-type'];
  if (type !== undefined && !USUAL_TYPE.test(type)) request.headers = { 'content-type': undefined };
  done();
}

/** A media type with parameters that are tokens (RFC 9110 §8.3.1). */
const USUAL_TYPE =
  /^[\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+(?:; ?[\w!#$%&'*+.^`|~-]+=[\w!#$%&'*+.^`|~-]+)*$/;

/** A bug in scopegate, or a hook that scopegate cannot work with. */
class Fault extends Error {}

/** The error message of `@fastify/http-proxy` for a path that it refuses to send. */
const INVALID_DESTINATION = 'source/request contain invalid characters';

/** The key of a request's exchange in the header fields that `@fastify/reply-from` passes to its client. */
const EXCHANGE = Symbol('exchange');

/** A path of plain segments, without parameters of the router. */
const PREFIX = /^(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._~-]+)+$/;

function exchangeOf(options: object): UpstreamExchange {
  const { headers } = options as { headers: { [EXCHANGE]?: UpstreamExchange } };
  if (headers[EXCHANGE] === undefined) throw new Fault('a request came to an upstream without an exchange');
  return headers[EXCHANGE];
}
