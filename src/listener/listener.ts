import type { Server as TlsServer } from 'node:https';
import type { Socket } from 'node:net';
import fastify, { type FastifyInstance } from 'fastify';
import { denial, errorBody } from '../model/errors.js';
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

/** What the proxy listener is made of; times in milliseconds, sizes in bytes, 0 means no limit. */
export interface ProxyListenerOptions extends RequestHandlerOptions {
  readonly headersTimeout: number;
  readonly keepAliveTimeout: number;
  readonly maxConnections: number;
  /** How long open connections may still bring a request once the drain has begun. */
  readonly drainGrace: number;
  /** Requests that one HTTP/2 connection may have at once; 0 turns HTTP/2 off. */
  readonly maxStreams: number;
  /** Requests of one HTTP/1.1 connection that are at work at once. */
  readonly pipelining: number;
  /** Plain HTTP without. */
  readonly tls?: Credentials;
  /** Whether WebSocket handshakes are served; where not, an Upgrade is ignored. */
  readonly webSockets: boolean;
}

/** The proxy listener. */
export interface ProxyListener {
  readonly app: FastifyInstance;
  /** Ends every connection at once. */
  cut(): void;
}

/** How often Node looks for connections whose head is late, in milliseconds, where they may take longer than that. */
const CONNECTION_CHECK = 1_000;
/** A connection is renewed after so many requests, so that load balancers can move it. */
const REQUESTS_PER_CONNECTION = 100_000;

/**
 * Builds the proxy listener: a Fastify instance that listens. Every request goes through the request handler: parse →
 * decide → forward. None enters Fastify's routing, which could do nothing for it and costs a tenth of its way.
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
    // A whole upload may take as long as it moves; what stalls is ended by the upload itself.
    requestTimeout: 0,
    maxRequestsPerSocket: REQUESTS_PER_CONNECTION,
    ...serverOptions(options),
  } as Parameters<typeof fastify>[0]) as unknown as FastifyInstance;

  app.setNotFoundHandler((_request, reply) => {
    // Unreachable: no request comes to the router.
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
  // Node would drop the fields beyond its limit unseen, a second Host among them; the request handler counts them instead.
  server.maxHeadersCount = 0;
  const handle = createRequestHandler(options);
  let draining = false;
  const begin: HandleRequest = (message, response, connection) => {
    try {
      if (draining) response.shouldKeepAlive = false;
      handle(message, response, connection);
    } catch (error) {
      options.onFault('start of a request', error);
      refuseOrBreakOff(message, response, FAILED, options.realm);
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
  // `Expect: 100-continue` is answered after the decision, not by Node before it.
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

/** The answer to a request at which scopegate failed. */
const FAILED = denial('internal', 'the gateway failed');

/** HTTP/2 is offered over TLS alone, where the handshake settles it (RFC 9113 §3.2). */
function offersStreams({ tls, maxStreams }: ProxyListenerOptions): boolean {
  return tls !== undefined && maxStreams > 0;
}

function serverOptions(options: ProxyListenerOptions): object {
  const limits = {
    maxHeaderSize: options.maxHeaderBytes,
    headersTimeout: options.headersTimeout,
    connectionsCheckingInterval: Math.min(CONNECTION_CHECK, options.headersTimeout || CONNECTION_CHECK),
    // A missing Host gets the error table's answer instead of Node's empty one.
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
