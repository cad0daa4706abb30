import type { ServerResponse } from 'node:http';
import type { ExchangeResult, PoolState, Upstream } from '../model/upstream.js';
import type { OnFault } from '../observe/request-record.js';
import { hasBody } from '../parse/fields.js';
import { serverConnector, type UpstreamTls } from '../tls/connector.js';
import { BufferedBodies } from './buffered-bodies.js';
import { Exchange } from './exchange.js';
import { countExchange, type InFlightRecord } from './in-flight.js';
import { type PrepareOptions, prepareRequest, type RequestToPrepare } from './prepare-request.js';
import { drain, refuse } from './refusal.js';
import { RequestBody } from './request-body.js';
import type { CreateUpstreamClient, UpstreamClient } from './upstream/client.js';
import { createPool } from './upstream/pool.js';
import { type Handshake, WebSockets } from './websocket/websockets.js';

/** How requests are forwarded; times in milliseconds, sizes in bytes, 0 means no limit. */
export interface ForwarderOptions extends PrepareOptions {
  readonly connectTimeout: number;
  /** The longest pause in a body, in either direction. */
  readonly idleTimeout: number;
  /** The most connections to one upstream for short exchanges. */
  readonly connections: number;
  /** The most long exchanges with one upstream. */
  readonly longExchanges: number;
  /** The largest response head from an upstream, in bytes. */
  readonly maxResponseHeaderBytes: number;
  /** How long a request waits for a connection if all are busy. */
  readonly queueTimeout: number;
  /** Returns the TLS settings for the origin of an upstream. */
  readonly tlsOf: (origin: string) => UpstreamTls;
  readonly realm: string;
  /** Called for each exception; each exception ended one exchange. */
  readonly onFault: OnFault;
  /** The longest that a WebSocket may stay open. */
  readonly webSocketMaxAge: number;
  /** Returns seconds since 1970. */
  readonly now: () => number;
  /** Makes the client of each upstream; the default is scopegate's own. */
  readonly createClient?: CreateUpstreamClient | undefined;
}

/** One allowed request to forward. */
export interface ForwardedRequest extends RequestToPrepare {
  readonly response: ServerResponse;
  /** The record of this request. */
  readonly record: InFlightRecord;
  /** Milliseconds within which the upstream's response must begin. */
  readonly timeout: number;
  /** The CORS fields of the response, which replace the upstream's; undefined keeps the upstream's. */
  readonly cors?: readonly string[] | undefined;
  /** Called with each piece of the request body. */
  readonly watch?: ((piece: Buffer) => void) | undefined;
  /** Keeps the response out of shared caches, whatever the upstream says (RFC 6750 §2.3). */
  readonly isPrivate?: boolean;
  /** The nonce for the client's next DPoP proof (RFC 9449 §8.2). */
  readonly nonce?: string | undefined;
  /** Set if the request is a WebSocket handshake. */
  readonly handshake?: Handshake | undefined;
}

/** Forwards allowed requests to upstreams. */
export interface Forwarder {
  /**
   * Sends one request and streams the response back.
   *
   * @param done called exactly once
   */
  forward(request: ForwardedRequest, done: (result: ExchangeResult) => void): void;
  /** The state of the connection pools, one per upstream. */
  pools(): PoolState[];
  /** The bytes of the request bodies that are read ahead, and the number of these bodies. */
  readonly bodies: { readonly bytes: number; readonly count: number };
  /** Ends every WebSocket with a Close frame of status 1001, "going away" (RFC 6455 §7.4.1). */
  drain(): void;
  /** Closes every connection to every upstream. */
  close(): void;
}

/**
 * Builds the forwarder with one connection pool per upstream. It caches nothing and follows no redirect. It
 * retries a request in one case only: a safe method without a body, sent on an idle connection that the
 * upstream closed at that moment. It verifies certificates unless the settings say `insecureSkipVerify`.
 */
export function createForwarder(options: ForwarderOptions): Forwarder {
  const { createClient = createPool } = options;
  const clients = new Map<string, UpstreamClient>();
  const bodies = new BufferedBodies();
  const webSockets = new WebSockets(options.webSocketMaxAge, options.now, options.onFault);

  function clientOf({ origin }: Upstream): UpstreamClient {
    let client = clients.get(origin);
    if (client === undefined) {
      const { identity, verify } = options.tlsOf(origin);
      client = createClient({
        origin,
        connections: options.connections,
        longExchanges: options.longExchanges,
        queueTimeout: options.queueTimeout,
        idleTimeout: options.idleTimeout,
        maxHeadBytes: options.maxResponseHeaderBytes,
        connector: (onread) => serverConnector(identity, options.connectTimeout, verify, onread),
      });
      clients.set(origin, client);
    }
    return client;
  }

  return {
    forward(request, done) {
      const { message, response, fields, upstream, cors, handshake } = request;
      const headers = prepareRequest(request, options);
      if (headers === 'final') {
        response.writeHead(204).end();
        drain(message);
        return done({ status: 204 });
      }
      if (!Array.isArray(headers)) {
        const status = refuse(message, response, headers, options.realm, cors);
        return done({ status, error: headers.error });
      }

      const withBody = hasBody(fields);
      // The request is allowed, so the client may now send the body that it holds back (RFC 9110 §10.1.1).
      if (withBody && fields.expectsContinue) allowBody(response);
      const body = withBody ? new RequestBody(message, options.body, bodies, request.watch) : undefined;
      const exchange = new Exchange({
        message,
        response,
        requestBody: body,
        realm: options.realm,
        stallTimeout: options.idleTimeout,
        overlay: request,
        record: request.record,
        onFault: options.onFault,
        done,
      });
      const dispatch = (): void => {
        if (exchange.settled) return;
        try {
          const long = body === undefined ? handshake !== undefined : !body.complete;
          countExchange(request.record, withBody, long);
          clientOf(upstream).dispatch(
            {
              method: message.method as string,
              path: request.path,
              fields: headers,
              body,
              length: fields.contentLength,
              timeout: request.timeout,
              upgrade: handshake && webSockets.upgrade(handshake, request, exchange),
            },
            exchange,
            long,
          );
        } catch (error) {
          // A request that cannot be sent ends here with an error.
          exchange.onError(error as Error);
        }
      };
      if (body === undefined) {
        dispatch();
        return;
      }
      // Until the body is complete, or too large to wait for, the request uses no place that other requests
      // need.
      request.record.leaveInFlight();
      body.fill(dispatch);
    },
    pools: () => [...clients.values()].map(({ state }) => state),
    bodies,
    drain() {
      webSockets.drain();
    },
    close() {
      for (const client of clients.values()) client.close();
      webSockets.close();
    },
  };
}

/**
 * Writes 100 Continue when it is this response's turn. If an earlier response is still being sent, Node would
 * write the head of this response before the interim response, so that the interim response ends up in the
 * body of the final one.
 */
function allowBody(response: ServerResponse): void {
  if (response.socket !== null) response.writeContinue();
  else {
    response.once('socket', () => {
      if (!response.headersSent) response.writeContinue();
    });
  }
}
