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
import { denial, type ErrorName } from '../model/errors.js';
import { METHODS } from '../model/methods.js';
import { hasBody } from '../parse/fields.js';
import { isStream } from '../parse/parsed-request.js';
import { BufferedBodies } from '../proxy/buffered-bodies.js';
import { drain } from '../proxy/refusal.js';
import { RequestBody } from '../proxy/request-body.js';
import { forwardsLeft, requestFields } from '../proxy/request-headers.js';
import type { Authorization } from './authorization.js';
import type { Authorizer } from './authorizer.js';
import { type OnResponse, UpstreamExchange } from './exchange.js';
import type { UpstreamRoutes } from './plugin-types.js';
import { Pools } from './pools.js';

/** What requests to upstreams need of the plugin. */
export interface UpstreamsOptions {
  readonly settings: Settings;
  readonly upstream: UpstreamOptions;
  readonly authorizer: Authorizer;
  /** Whether the application is closing. */
  readonly isClosing: () => boolean;
  /** Observes token revocations, so that their tokens are not served from the cache. */
  readonly revocations: Revocations;
}

/** Sends requests to the services of the rules, through `@fastify/http-proxy`. */
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

  /** Memory of request bodies that are read ahead, in bytes. */
  get bufferedBytes(): number {
    return this.#bodies.bytes;
  }

  /**
   * Declares the routes, in a context of their own: what they need of Fastify holds for no other route.
   *
   * @throws Error for a prefix that is no plain path, or a method that no rule can have
   */
  declare(app: FastifyInstance, { prefix = '', methods = METHODS }: UpstreamRoutes): void {
    if (prefix !== '' && !PREFIX.test(prefix)) {
      throw new Error(`scopegate: upstreams.prefix "${prefix}" is no plain path: write it as in "/api"`);
    }
    const unknown = methods.find((method) => !METHODS.includes(method));
    if (unknown !== undefined) {
      throw new Error(`scopegate: upstreams.methods: "${unknown}" is none of ${METHODS.join(', ')}`);
    }
    const { authorizer } = this.#options;
    app.register(
      async (scope) => {
        // Bodies are forwarded as they come: nothing of the application may parse them.
        scope.removeAllContentTypeParsers();
        scope.setErrorHandler((error: FastifyError, request, reply) => this.#onError(error, request, reply));
        // Behind the onRequest hooks that other plugins add to routes: a rate limit comes before introspection.
        scope.addHook('onRoute', (route: RouteOptions) => {
          route.onRequest = [route.onRequest ?? [], authorizer.authorize, takeAnyType].flat();
        });
        scope.register(httpProxy, {
          upstream: '',
          rewritePrefix: scope.prefix === '' ? '/' : scope.prefix,
          // Without a prefix the route of a wildcard takes "/" as well, and leaves it to a route of the application.
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

  /** @param destination the path that would be sent for what the router was given */
  #handle(request: FastifyRequest, reply: FastifyReply, destination: string, send: () => unknown): unknown {
    const decision = this.#allowed(request);
    const authorization = this.#options.authorizer.of(request) as Authorization;
    if (destination !== decision.path || !authorization.unchanged) {
      throw new Fault('the path to send is not the one that was decided about');
    }
    const stopped = this.#prepare(request, reply, authorization, decision);
    if (stopped === 'answered') return reply;
    if (stopped === undefined) return send();
    authorization.result = { error: stopped.error };
    authorization.answer(denial(stopped.error, stopped.reason));
    return reply;
  }

  /** Makes the exchange. @returns why there is none */
  #prepare(
    request: FastifyRequest,
    reply: FastifyReply,
    authorization: Authorization,
    decision: Allowed,
  ): { readonly error: ErrorName; readonly reason: string } | 'answered' | undefined {
    const { settings, upstream, revocations } = this.#options;
    const { forward } = settings;
    const message = request.raw;
    const { parsed, record, table } = authorization;
    if (parsed === undefined) throw new Fault('a request came to an upstream unread');
    const { fields, target } = parsed;
    const { maxBytes } = upstream.body;
    if (maxBytes > 0 && (fields.contentLength ?? 0) > maxBytes) {
      return { error: 'body_too_large', reason: 'the request body is too large' };
    }
    const left = forwardsLeft(message.method, fields);
    if (left === 0) {
      // scopegate is the final recipient, and has nothing to say.
      reply.code(204).send();
      drain(message);
      return 'answered';
    }
    const { rule } = decision;
    const headers = requestFields(fields, {
      peer: record.peer,
      identity: upstream.identity,
      host:
        (rule.preserveHost ?? forward.host === 'preserve')
          ? (fields.host as string)
          : rule.upstream.authority,
      requestId: record.requestId,
      trace: record.trace?.sending(rule.upstream.origin),
      via: upstream.via,
      version: message.httpVersion,
      reservedHeaders: table?.reservedHeaders,
      removal: decision.removal,
      mutations: decision.mutations,
      maxForwards: left === undefined ? undefined : left - 1,
    });
    if (headers === undefined) {
      return { error: 'loop_detected', reason: 'the request has passed this gateway before' };
    }
    const withBody = hasBody(fields);
    // Fastify takes a stream of HTTP/2 without a length for one without a body, and hands none on.
    if (withBody && request.body !== undefined && request.body !== message) {
      throw new Fault('a hook of the application has replaced the body of a request to an upstream');
    }
    if (fields.contentLength !== undefined && withBody) {
      headers.push('content-length', String(fields.contentLength));
    }
    const revocation =
      rule.revokes === true && message.method === 'POST'
        ? revocations.observe(fields, decision.query ?? target.query)
        : undefined;
    const watch = (piece: Buffer): void => {
      exchange.onPiece();
      revocation?.watch(piece);
    };
    const exchange: UpstreamExchange = new UpstreamExchange({
      request,
      reply,
      authorization,
      pool: this.pools.of(rule.upstream),
      path: (decision.sentPath ?? decision.path) + (decision.query ?? target.query),
      fields: headers,
      requestBody: withBody ? new RequestBody(message, upstream.body, this.#bodies, watch) : undefined,
      timeout: rule.timeout,
      idleTimeout: forward.idleTimeout,
      overlay: {
        cors: rule.cors && corsFields(rule.cors, fields),
        isPrivate: decision.query !== undefined,
        nonce: decision.nonce,
      },
      revocation,
    });
    this.#exchanges.set(request, exchange);
    return undefined;
  }

  /** Hands the response to the reply, whose hooks see it. */
  #respond(
    request: FastifyRequest,
    reply: FastifyReply,
    { stream }: { stream: NodeJS.ReadableStream },
  ): void {
    // Else the connection would stay, and the application could not end.
    if (this.#options.isClosing() && !isStream(request.raw)) reply.header('connection', 'close');
    if (this.#exchanges.get(request)?.isBodiless === true) {
      stream.resume();
      reply.send();
    } else {
      // A first piece takes the head along; else it goes alone, at once: the client of an event stream waits for it.
      // With the pipe, the hooks of other plugins have had their say about it.
      // A body of known length comes when it comes.
      if (!reply.hasHeader('content-length')) {
        reply.raw.once('pipe', () => process.nextTick(flushHead, reply));
      }
      reply.send(stream);
    }
  }

  /** The exchange failed before the response began. */
  #onFailed(reply: FastifyReply, error: Error): void {
    const cause = error.cause instanceof Error ? error.cause : error;
    this.#exchanges.get(reply.request)?.refuse(cause);
  }

  /** Errors of the application's own hooks go on to its own error handler. */
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
  // Node writes the head as UTF-8 where it is asked to flush it, and would change values that are not ASCII.
  if (!raw.headersSent && !raw.destroyed) raw.write('', 'latin1');
}

/** Fastify refuses a Content-Type that it cannot read. No body is parsed here, so what it says is the upstream's business. */
function takeAnyType(request: FastifyRequest, _reply: FastifyReply, done: HookHandlerDoneFunction): void {
  const type = request.headers['content-type'];
  if (type !== undefined && !USUAL_TYPE.test(type)) request.headers = { 'content-type': undefined };
  done();
}

/** A media type with parameters that are tokens (RFC 9110 §8.3.1). */
const USUAL_TYPE =
  /^[\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+(?:; ?[\w!#$%&'*+.^`|~-]+=[\w!#$%&'*+.^`|~-]+)*$/;

/** A mistake of scopegate, or of a hook that it cannot work with. */
class Fault extends Error {}

/** What `@fastify/http-proxy` says of a path that it does not send. */
const INVALID_DESTINATION = 'source/request contain invalid characters';

/** Where the exchange of a request stands among the header fields that `@fastify/reply-from` hands to its client. */
const EXCHANGE = Symbol('exchange');

/** A path of plain segments, without parameters of the router. */
const PREFIX = /^(?:\/[A-Za-z0-9._~-]+)+$/;

function exchangeOf(options: object): UpstreamExchange {
  const { headers } = options as { headers: { [EXCHANGE]?: UpstreamExchange } };
  if (headers[EXCHANGE] === undefined) throw new Fault('a request came to an upstream without an exchange');
  return headers[EXCHANGE];
}
