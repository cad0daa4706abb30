import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Audit } from './audit.js';
import { type Allowed, type Decision, decide, type RuleTable } from './decide.js';
import { denial, ERRORS, errorBody } from './errors.js';
import type { ExchangeResult } from './forward/exchange.js';
import type { Forwarder } from './forward/proxy.js';
import { refuse } from './forward/refusal.js';
import { requestFields } from './forward/request.js';
import { registerWebSockets, type UpgradePassage } from './forward/websocket.js';
import type { Services } from './handlers/strategy.js';
import { type Arrival, isWebSocket, readArrival } from './request/arrival.js';
import type { Peer } from './request/peer.js';

/** What the proxy listener is made of; times in milliseconds, sizes in bytes, 0 means no limit. */
export interface GatewayOptions {
  /** The rules in force; asked once a request, so that one request sees one set. */
  readonly rules: () => RuleTable;
  readonly services: Services;
  readonly forwarder: Forwarder;
  readonly peerOf: (socket: Socket) => Peer;
  readonly audit: Audit;
  /** Told of what should never happen. */
  readonly onCrash: (error: unknown) => void;
  readonly realm: string;
  readonly via: string;
  readonly host: 'upstream' | 'preserve';
  readonly maxHeaderBytes: number;
  readonly maxTargetBytes: number;
  readonly headersTimeout: number;
  readonly keepAliveTimeout: number;
  readonly maxConnections: number;
  /** PEM texts of the listener's identity; plain HTTP without. */
  readonly tls?: GatewayTls;
  /** Undefined turns WebSockets off: an Upgrade is then ignored. */
  readonly webSockets?: {
    readonly maxAge: number;
    readonly connectTimeout: number;
    readonly insecureSkipVerify: boolean;
    readonly ca?: string;
  };
}

/** A TLS listener's identity and limits. */
export interface GatewayTls {
  readonly cert: string;
  readonly key: string;
  readonly ca?: string;
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
}

/** How often Node looks for connections whose head is late, in milliseconds. */
const CONNECTION_CHECK = 1_000;
/** A connection is renewed after so many requests, so that load balancers can move it. */
const REQUESTS_PER_CONNECTION = 100_000;

const upgrades = new WeakMap<IncomingMessage, UpgradePassage>();

/**
 * Builds the proxy listener: a Fastify instance on which one hook takes every request through
 * arrival → decision → forward. Fastify's own routing, parsing and serialising see none of it: the router is given
 * a constant URL, and plain requests leave Fastify in the hook.
 */
export async function createGateway(options: GatewayOptions): Promise<FastifyInstance> {
  const app = fastify({
    logger: false,
    // Anything the router could do to a hostile URL, it cannot do to this one. Upgrades need their path further on.
    rewriteUrl: (message: IncomingMessage) =>
      message.headers.upgrade === undefined ? '/' : routedUpgrade(message, options),
    genReqId: () => '',
    requestIdHeader: false,
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    bodyLimit: Number.MAX_SAFE_INTEGER,
    exposeHeadRoutes: false,
    clientErrorHandler: answerBrokenRequest,
    keepAliveTimeout: options.keepAliveTimeout,
    connectionTimeout: 0,
    // A whole upload may take as long as it moves; what stalls is ended by the upload itself.
    requestTimeout: 0,
    maxRequestsPerSocket: REQUESTS_PER_CONNECTION,
    ...listener(options),
  } as Parameters<typeof fastify>[0]) as unknown as FastifyInstance;

  const gate = createGate(options);
  app.addHook('onRequest', gate);
  app.setNotFoundHandler((_request, reply) => {
    // Unreachable: the hook answers or takes over every request that is no upgrade.
    reply
      .code(404)
      .type('application/json')
      .send(errorBody(denial('no_rule', 'no rule for this request')));
  });
  app.setErrorHandler((error, _request, reply) => {
    options.onCrash(error);
    if (!reply.sent)
      reply
        .code(500)
        .type('application/json')
        .send(errorBody(denial('internal', 'the gateway failed')));
  });
  if (options.webSockets !== undefined) {
    await registerWebSockets(app, {
      ...options.webSockets,
      passageOf: (message) => upgrades.get(message),
      now: options.services.now,
    });
  }
  const { server } = app;
  server.maxConnections = options.maxConnections > 0 ? options.maxConnections : Number.POSITIVE_INFINITY;
  server.headersTimeout = options.headersTimeout;
  // `Expect: 100-continue` is answered after the decision, not by Node before it.
  server.on('checkContinue', (message, response) => server.emit('request', message, response));
  server.on('checkExpectation', (message, response) => server.emit('request', message, response));
  return app;
}

function listener(options: GatewayOptions): object {
  const limits = {
    maxHeaderSize: options.maxHeaderBytes,
    headersTimeout: options.headersTimeout,
    connectionsCheckingInterval: CONNECTION_CHECK,
    // A missing Host gets the error table's answer instead of Node's empty one.
    requireHostHeader: false,
    insecureHTTPParser: false,
    noDelay: true,
  };
  const { tls } = options;
  if (tls === undefined) return { http: limits };
  return { https: { ...limits, ...tls, ALPNProtocols: ['http/1.1'] } };
}

type Gate = (request: FastifyRequest, reply: FastifyReply, done: () => void) => void;

/** One request's way through the gateway, for the audit line. */
interface Visit {
  readonly message: IncomingMessage;
  readonly response: ServerResponse;
  readonly peer: Peer;
  readonly requestId: string;
  readonly started: number;
}

function createGate(options: GatewayOptions): Gate {
  const { services, forwarder, realm } = options;

  function report(
    visit: Visit,
    arrival: Arrival | undefined,
    decision: Decision,
    result: ExchangeResult,
  ): void {
    const refused = decision.allowed ? undefined : decision.denial;
    options.audit({
      requestId: visit.requestId,
      peer: visit.peer.address,
      method: visit.message.method ?? '',
      decision: decision.allowed ? 'allow' : 'deny',
      status: result.status,
      ms: performance.now() - visit.started,
      ...(arrival === undefined
        ? {}
        : { host: arrival.target.host, path: decision.allowed ? decision.path : arrival.target.path }),
      ...(decision.rule === undefined ? {} : { rule: decision.rule.id }),
      ...(refused === undefined ? {} : { reason: refused.reason }),
      ...((refused?.error ?? result.error) === undefined ? {} : { error: refused?.error ?? result.error }),
      ...(decision.subject === undefined ? {} : { subject: decision.subject.subject }),
      ...(decision.subject?.clientId === undefined ? {} : { clientId: decision.subject.clientId }),
      ...(decision.introspection === undefined
        ? {}
        : { introspection: decision.introspection.from, introspectionMs: decision.introspection.ms }),
      ...(result.upstreamStatus === undefined ? {} : { upstreamStatus: result.upstreamStatus }),
      ...(result.upstreamMs === undefined ? {} : { upstreamMs: result.upstreamMs }),
      ...(result.cause === undefined ? {} : { cause: result.cause }),
    });
  }

  function turnAway(
    visit: Visit,
    arrival: Arrival | undefined,
    decision: Extract<Decision, { allowed: false }>,
  ): void {
    const status = refuse(visit.message, visit.response, decision.denial, realm);
    report(visit, arrival, decision, { status });
  }

  function letThrough(visit: Visit, arrival: Arrival, decision: Allowed): void {
    const { message, response, peer, requestId } = visit;
    forwarder.forward(
      {
        message,
        response,
        fields: arrival.fields,
        peer,
        requestId,
        upstream: decision.rule.upstream,
        path: decision.path + arrival.target.query,
        timeout: decision.rule.timeout,
      },
      (result) => report(visit, arrival, decision, result),
    );
  }

  /** Leaves the upgrade to the WebSocket proxy; the audit line tells of the handshake, not of its end. */
  function letUpgrade(visit: Visit, arrival: Arrival, decision: Allowed, done: () => void): void {
    const { upstream } = decision.rule;
    const headers = requestFields(arrival.fields, {
      peer: visit.peer,
      host: options.host === 'preserve' ? (arrival.fields.host as string) : upstream.authority,
      requestId: visit.requestId,
      via: options.via,
      version: visit.message.httpVersion,
    });
    if (headers === undefined) {
      return turnAway(visit, arrival, {
        allowed: false,
        rule: decision.rule,
        denial: denial('loop_detected', 'the request has passed this gateway before'),
      });
    }
    upgrades.set(visit.message, {
      origin: upstream.origin,
      headers,
      ...(decision.subject.expiresAt === undefined ? {} : { expiresAt: decision.subject.expiresAt }),
    });
    report(visit, arrival, decision, { status: 101 });
    done();
  }

  function settle(
    visit: Visit,
    arrival: Arrival,
    decision: Decision,
    upgrade: (() => void) | undefined,
  ): void {
    // A client that left while its token was introspected: nothing goes upstream any more.
    if (visit.response.destroyed || visit.message.socket.destroyed) {
      return report(visit, arrival, decision, { status: 0, cause: 'client_closed' });
    }
    if (!decision.allowed) return turnAway(visit, arrival, decision);
    if (upgrade === undefined) return letThrough(visit, arrival, decision);
    letUpgrade(visit, arrival, decision, upgrade);
  }

  return (request, reply, done) => {
    const message = request.raw as IncomingMessage & { originalUrl?: string };
    const response = reply.raw as ServerResponse;
    const peer = options.peerOf(message.socket);
    const visit: Visit = {
      message,
      response,
      peer,
      requestId: requestIdOf(message, peer),
      started: performance.now(),
    };
    const rawTarget = message.originalUrl ?? '';
    const isUpgrade = message.headers.upgrade !== undefined && options.webSockets !== undefined;
    const upgrade = isUpgrade && isWebSocket(message) ? done : undefined;
    if (upgrade === undefined) {
      reply.hijack();
      // Node has left the connection's framing to whoever takes the upgrade: after this answer it must end.
      if (isUpgrade) response.shouldKeepAlive = false;
    }
    try {
      const arrival = readArrival(message, rawTarget, options.maxTargetBytes);
      if ('refused' in arrival) {
        if (upgrade !== undefined) reply.hijack();
        return turnAway(visit, undefined, { allowed: false, denial: denial(arrival.error, arrival.refused) });
      }
      if (isUpgrade && (arrival.fields.chunked || (arrival.fields.contentLength ?? 0) > 0)) {
        if (upgrade !== undefined) reply.hijack();
        const refused = denial('malformed_request', 'an upgrade request with a body is not served');
        return turnAway(visit, arrival, { allowed: false, denial: refused });
      }
      const takeOver = (decision: Decision): void => {
        if (upgrade !== undefined && !decision.allowed) reply.hijack();
        settle(visit, arrival, decision, upgrade);
      };
      const decision = decide(
        options.rules(),
        message.method ?? '',
        arrival.target,
        arrival.fields,
        services,
      );
      if (decision instanceof Promise) {
        decision.then(takeOver).catch((error: unknown) => crash(visit, reply, error));
      } else {
        takeOver(decision);
      }
    } catch (error) {
      crash(visit, reply, error);
    }
  };

  /** A fault of our own: never an answer that could be taken for "allowed". */
  function crash(visit: Visit, reply: FastifyReply, error: unknown): void {
    options.onCrash(error);
    if (!reply.sent) reply.hijack();
    if (visit.response.headersSent) visit.response.destroy();
    else refuse(visit.message, visit.response, denial('internal', 'the gateway failed'), realm);
  }
}

/** The path an upgrade is routed and forwarded with: the canonical one, or a constant where it will be refused. */
function routedUpgrade(message: IncomingMessage, options: GatewayOptions): string {
  const arrival = readArrival(message, message.url ?? '', options.maxTargetBytes);
  return 'refused' in arrival ? '/' : arrival.target.path + arrival.target.query;
}

const REQUEST_ID = /^[A-Za-z0-9._~:+/=-]{1,128}$/;

function requestIdOf(message: IncomingMessage, peer: Peer): string {
  const given = peer.trusted ? message.headers['x-request-id'] : undefined;
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
}

/**
 * Answers what Node's parser could not read as a request, then closes: nothing after the fault is parsed
 * (RFC 9112 §11.2). Where an answer has begun, or an earlier request is still waiting for its own, a text here would
 * be taken for that one, so the connection just ends.
 */
function answerBrokenRequest(error: Error & { code?: string }, socket: Socket): void {
  const current = (socket as { _httpMessage?: ServerResponse })._httpMessage;
  const own = current === undefined || current === null || (!current.headersSent && !current.req.complete);
  if (!socket.writable || !own || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const refused =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? denial('headers_too_large', 'the header fields are too large')
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? denial('request_timeout', 'the header fields did not arrive in time')
        : denial('malformed_request', 'the request cannot be parsed');
  const body = errorBody(refused);
  const { code, status } = ERRORS[refused.error];
  socket.end(
    `HTTP/1.1 ${code} ${status}\r\ncontent-type: application/json; charset=utf-8\r\ncache-control: no-store\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
    () => socket.destroy(),
  );
}
