import type { Server as TlsServer } from 'node:https';
import type { Socket } from 'node:net';
import fastify, { type FastifyInstance } from 'fastify';
import { denial, errorBody, GATEWAY_FAILED } from '../model/errors.js';
import { recordBrokenRequest } from '../observe/request-record.js';
import { refuseOrBreakOff } from '../proxy/refusal.js';
import type { Credentials } from '../tls/credentials.js';
import { answerBrokenRequest, refuseConnect } from './broken-request.js';
import { prepareDrain } from './drain.js';
import { NO_SCHEMA_COMPILERS } from './fastify.js';
import { Handshakes } from './handshakes.js';
import { serveHttp2 } from './http2.js';
import { Pipelines } from './pipelining.js';
import { answerPlainHttp } from './plain-http.js';
import { createRequestHandler, type HandleRequest, type RequestHandlerOptions } from './request-handler.js';
import { prepareStop } from './stop-listening.js';
import { serveUpgrades } from './upgrade.js';

/** The options of the proxy listener; times in milliseconds, sizes in bytes, 0 means no limit. */
export interface ProxyListenerOptions extends RequestHandlerOptions {
  readonly headersTimeout: number;
  readonly keepAliveTimeout: number;
  readonly maxConnections: number;
  /** How long open connections may still bring requests after the drain has begun. */
  readonly drainGrace: number;
  /** The most requests of one HTTP/2 connection at once; 0 disables HTTP/2. */
  readonly maxStreams: number;
  /** The most requests of one HTTP/1.1 connection that are served at once. */
  readonly pipelining: number;
  /** Undefined for plain HTTP. */
  readonly tls?: Credentials;
  /** Whether WebSocket handshakes are served; if not, an Upgrade field is ignored. */
  readonly webSockets: boolean;
}

/** The proxy listener. */
export interface ProxyListener {
  readonly app: FastifyInstance;
  /** Destroys every connection at once. */
  cut(): void;
}

/**
 * How often Node checks for connections that exceed the headers timeout, in milliseconds; more often if that
 * timeout is shorter.
 */
const CONNECTION_CHECK = 1_000;
/**
 * After this many requests a connection closes, so that load balancers can move the client to another
 * gateway.
 */
const REQUESTS_PER_CONNECTION = 100_000;

/**
 * Builds the proxy listener: a Fastify instance that listens. Every request goes to the request handler:
 * parse → decide → forward. No request enters Fastify's routing, which is not needed and costs a tenth of the
 * time of a request.
 */
export async function createProxyListener(options: ProxyListenerOptions): Promise<ProxyListener> {
  const app = fastify({
    logger: false,
    ...NO_SCHEMA_COMPILERS,
    genReqId: () => '',
    requestIdHeader: false,
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    bodyLimit: Number.MAX_SAFE_INTEGER,
    exposeHeadRoutes: false,
    clientErrorHandler: (error: Error & { code?: string }, socket: Socket) => {
      try {
        const refused = answerBrokenRequest(error, socket, pipelines);
        if (refused !== undefined) recordBrokenRequest(options, socket, refused);
      } catch (fault) {
        options.onFault('broken request', fault);
        socket.destroy();
      }
    },
    keepAliveTimeout: options.keepAliveTimeout,
    connectionTimeout: 0,
    // A whole upload may take any time while it makes progress; the request body itself ends a stalled one.
    requestTimeout: 0,
    maxRequestsPerSocket: REQUESTS_PER_CONNECTION,
    ...serverOptions(options),
  } as Parameters<typeof fastify>[0]) as unknown as FastifyInstance;

  app.setNotFoundHandler((_request, reply) => {
    // Unreachable: no request gets to Fastify's router.
    reply
      .code(404)
      .type('application/json')
      .send(errorBody(denial('no_rule', 'no rule for this request')));
  });
  const { server } = app;
  server.maxConnections = options.maxConnections > 0 ? options.maxConnections : Number.POSITIVE_INFINITY;
  const { shares } = options;
  if (shares !== undefined) {
    server.on('connection', (socket: Socket) => {
      const leave = shares.connect(options.peerOf(socket));
      if (leave === undefined) socket.destroy();
      else socket.once('close', leave);
    });
  }
  server.headersTimeout = options.headersTimeout;
  // Node would silently drop the fields beyond its limit, for example a second Host. The request handler
  // counts them instead.
  server.maxHeadersCount = 0;
  const handle = createRequestHandler(options);
  let draining = false;
  const begin: HandleRequest = (message, response, connection) => {
    try {
      if (draining) response.shouldKeepAlive = false;
      handle(message, response, connection);
    } catch (error) {
      options.onFault('start of a request', error);
      refuseOrBreakOff(message, response, GATEWAY_FAILED, options.realm);
    }
  };
  const pipelines = new Pipelines(options.pipelining, begin);
  const { serve } = pipelines;
  server.removeAllListeners('request');
  server.on('request', serve);
  if (options.webSockets) serveUpgrades(server, pipelines, begin, options.onFault);
  const stop = prepareStop(server);
  const streams = offersStreams(options)
    ? serveHttp2(server as TlsServer, { ...options, requestsPerConnection: REQUESTS_PER_CONNECTION }, serve)
    : undefined;
  options.tls?.serve(server as TlsServer);
  const handshakes = options.tls === undefined ? undefined : new Handshakes(server as TlsServer);
  if (handshakes !== undefined) answerPlainHttp(server as TlsServer, handshakes);
  const drain = prepareDrain(server, pipelines, handshakes);
  app.addHook('preClose', async () => {
    draining = true;
    streams?.drain();
    options.forwarder.drain();
    await stop.listening(options.drainGrace);
    const end = drain();
    await stop.closed();
    end();
  });
  // The request handler answers `Expect: 100-continue` after the decision; Node would answer before it.
  server.on('checkContinue', serve);
  server.on('checkExpectation', serve);
  server.on('connect', (_message, duplex) => {
    const socket = duplex as Socket;
    const refused = refuseConnect(socket, pipelines);
    if (refused !== undefined) recordBrokenRequest(options, socket, refused);
  });
  return {
    app,
    cut() {
      server.closeAllConnections();
      streams?.cut();
    },
  };
}

/** Whether HTTP/2 is offered. It is offered only over TLS, where ALPN selects it (RFC 9113 §3.2). */
function offersStreams({ tls, maxStreams }: ProxyListenerOptions): boolean {
  return tls !== undefined && maxStreams > 0;
}

function serverOptions(options: ProxyListenerOptions): object {
  const limits = {
    maxHeaderSize: options.maxHeaderBytes,
    headersTimeout: options.headersTimeout,
    connectionsCheckingInterval: Math.min(CONNECTION_CHECK, options.headersTimeout || CONNECTION_CHECK),
    // A request without Host gets a response from the error table instead of Node's empty one.
    requireHostHeader: false,
    insecureHTTPParser: false,
    noDelay: true,
  };
  const { tls } = options;
  if (tls === undefined) return { http: limits };
  const ALPNProtocols = offersStreams(options) ? ['h2', 'http/1.1'] : ['http/1.1'];
  return {
    https: { ...limits, ...tls.serverOptions(), ALPNProtocols, handshakeTimeout: options.headersTimeout },
  };
}
