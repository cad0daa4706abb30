import type { IncomingMessage } from 'node:http';
import fastify, { type FastifyInstance } from 'fastify';
import { prepareDrain } from './drain.js';
import { denial, errorBody } from './errors.js';
import { registerWebSockets, type WebSocketOptions } from './forward/websocket.js';
import { createGate, type GateOptions } from './gate.js';
import { readArrival } from './request/arrival.js';
import { answerBrokenRequest } from './request/broken.js';
import { guardUpgrades } from './request/upgrade.js';

/** What the proxy listener is made of; times in milliseconds, sizes in bytes, 0 means no limit. */
export interface GatewayOptions extends Omit<GateOptions, 'upgrades'> {
  readonly maxHeaderBytes: number;
  readonly headersTimeout: number;
  readonly keepAliveTimeout: number;
  readonly maxConnections: number;
  /** PEM texts of the listener's identity; plain HTTP without. */
  readonly tls?: GatewayTls;
  /** Undefined turns WebSockets off: an Upgrade is then ignored. */
  readonly webSockets?: WebSocketLimits;
}

/** How long WebSockets last and how their upstreams are verified. */
export type WebSocketLimits = Omit<WebSocketOptions, 'passageOf' | 'now'>;

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

  const { gate, passageOf } = createGate({ ...options, upgrades: options.webSockets !== undefined });
  app.addHook('onRequest', gate);
  app.setNotFoundHandler((_request, reply) => {
    // Unreachable: the hook answers or takes over every request that is no upgrade.
    reply
      .code(404)
      .type('application/json')
      .send(errorBody(denial('no_rule', 'no rule for this request')));
  });
  app.setErrorHandler((error, _request, reply) => {
    // Methods of RTSP, which Node's parser knows and Fastify does not: they alone are not routed to the gate.
    if ((error as { statusCode?: number }).statusCode === 404) {
      reply
        .code(400)
        .header('connection', 'close')
        .type('application/json')
        .send(errorBody(denial('malformed_request', 'the protocol is not HTTP')));
      return;
    }
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
      passageOf,
      now: options.services.now,
    });
    app.addHook('onReady', async () => guardUpgrades(app.server));
  }
  const { server } = app;
  server.maxConnections = options.maxConnections > 0 ? options.maxConnections : Number.POSITIVE_INFINITY;
  server.headersTimeout = options.headersTimeout;
  // Node would drop the fields beyond its limit unseen, a second Host among them; the gate counts them instead.
  server.maxHeadersCount = 0;
  const drain = prepareDrain(server);
  app.addHook('preClose', async () => {
    const end = drain();
    server.once('close', end);
  });
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

/** The path an upgrade is routed and forwarded with: the canonical one, or a constant where it will be refused. */
function routedUpgrade(message: IncomingMessage, options: GatewayOptions): string {
  const arrival = readArrival(message, message.url ?? '', options.maxTargetBytes);
  return 'refused' in arrival ? '/' : arrival.target.path + arrival.target.query;
}
