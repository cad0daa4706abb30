import type { IncomingMessage } from 'node:http';
import { connect, isIP, type Socket, type TcpNetConnectOpts } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import httpProxy from '@fastify/http-proxy';
import type { FastifyInstance, FastifyPluginAsync, FastifyRequest } from 'fastify';
import { Agent } from 'undici';
import { WebSocket } from 'ws';
import type { UpstreamTls } from '../tls/connector.js';

/** What the decision leaves for an upgrade that may go on. */
export interface ForwardedUpgrade {
  /** `http://…` or `https://…`. */
  readonly origin: string;
  /** Name, value, name, value … as the upstream is to get them. */
  readonly headers: readonly string[];
  /** When the credential ends, in seconds since 1970. */
  readonly expiresAt?: number;
}

/** How WebSockets are carried; times in milliseconds, sizes in bytes. */
export interface WebSocketOptions {
  /** The longest a connection may last, 0 for ever. */
  readonly maxAge: number;
  readonly connectTimeout: number;
  /** By the origin of the upstream. */
  readonly tlsOf: (origin: string) => UpstreamTls;
  /** The upgrade that the request handler has let through. */
  readonly upgradeOf: (message: IncomingMessage) => ForwardedUpgrade | undefined;
  /** Seconds since 1970. */
  readonly now: () => number;
}

/** RFC 6455 §7.4.1: 1008, the connection goes against the policy; here: its credential or its time has ended. */
const POLICY_VIOLATION = 1008;
/** RFC 6455 §7.4.1: 1011, the server cannot go on. */
const INTERNAL_ERROR = 1011;
/** The longest delay a Node timer takes. */
const MAX_DELAY = 2_147_483_647;
/** The largest message either way; a larger one closes the connection with 1009. */
const MAX_MESSAGE_BYTES = 16_777_216;
/** Bytes that may wait for a slow reader before the other side is asked to pause. */
const HIGH_WATER = 1_048_576;
/** How often a slow reader is looked at again, in milliseconds. */
const LOOK_AGAIN = 20;
/** How long a peer may take to answer a close before its connection is cut, in milliseconds. */
const CLOSE_TIMEOUT = 5_000;

/** What the handshake itself sets, or each hop negotiates for itself (RFC 6455 §4.1): the client's copies stay behind. */
const HANDSHAKE = new Set([
  'host',
  'sec-websocket-accept',
  'sec-websocket-extensions',
  'sec-websocket-key',
  'sec-websocket-protocol',
  'sec-websocket-version',
]);

/**
 * The client's side of a connection. The plugin closes it with a library's own words about the upstream: they hold
 * addresses, and may be longer than a close frame (RFC 6455 §5.5), at which `ws` throws.
 */
class ClientSocket extends WebSocket {
  override close(code?: number, reason?: string | Buffer): void {
    super.close(code, code === INTERNAL_ERROR && typeof reason === 'string' ? 'the upstream failed' : reason);
  }
}

/**
 * Registers @fastify/http-proxy for what it does well: carrying WebSockets. Whether an upgrade reaches it at all is
 * decided by the request handler's hook in the enclosing scope, as for every other request.
 *
 * The plugin accepts the client's handshake before the upstream has answered its own: a refusing upstream is seen
 * by the client as a connection that closes at once.
 */
export async function registerWebSockets(app: FastifyInstance, options: WebSocketOptions): Promise<void> {
  const upgrades = new WeakMap<Socket, ForwardedUpgrade>();
  const upgradeOf = (request: FastifyRequest): ForwardedUpgrade => {
    const upgrade = options.upgradeOf(request.raw);
    if (upgrade === undefined) throw new Error('an upgrade reached the proxy without a decision');
    upgrades.set(request.raw.socket, upgrade);
    return upgrade;
  };
  const unused = new Agent({ connect: { rejectUnauthorized: true } });
  app.addHook('onClose', async () => unused.destroy());

  await app.register(httpProxy as unknown as FastifyPluginAsync<Record<string, unknown>>, {
    // Empty, because `upstream` beside `getUpstream` sends the connection to `upstream`.
    upstream: '',
    websocket: true,
    httpMethods: ['GET'],
    // Plain requests never come here, proxy/forwarder.ts takes them. An own agent all the same: the plugin's default
    // one verifies no certificate, and it retries.
    undici: unused,
    retryMethods: [],
    replyOptions: { getUpstream: (request: FastifyRequest) => upgradeOf(request).origin },
    wsServerOptions: {
      WebSocket: ClientSocket,
      maxPayload: MAX_MESSAGE_BYTES,
      perMessageDeflate: false,
      closeTimeout: CLOSE_TIMEOUT,
    },
    wsClientOptions: {
      createConnection: connectorOf(options.tlsOf),
      maxPayload: MAX_MESSAGE_BYTES,
      perMessageDeflate: false,
      closeTimeout: CLOSE_TIMEOUT,
      handshakeTimeout: options.connectTimeout,
      followRedirects: false,
      rewriteRequestHeaders: (_: unknown, request: FastifyRequest) =>
        handshakeFields(upgradeOf(request).headers),
    },
    wsHooks: {
      onConnect(_: unknown, source: WebSocket, target: WebSocket) {
        if (source.readyState !== source.OPEN) {
          // The client has left meanwhile, and the plugin ends only what is open by then.
          target.terminate();
          return;
        }
        limitLife(source, target, upgrades, options);
      },
      onIncomingMessage: (_: unknown, source: WebSocket, target: WebSocket) => holdBack(source, target),
      onOutgoingMessage: (_: unknown, source: WebSocket, target: WebSocket) => holdBack(target, source),
    },
  });
}

/** What `ws` opens its connection to an upstream with, in place of its own way: each upstream has TLS of its own. */
function connectorOf(tlsOf: WebSocketOptions['tlsOf']) {
  return (asked: object): Socket => {
    // `ws` tells by nothing but the default port which scheme the URL has.
    const { host = '', port, defaultPort } = asked as { host?: string; port?: number; defaultPort?: number };
    const options = { ...asked, host, port: Number(port), path: undefined };
    if (defaultPort !== 443) return connect(options as TcpNetConnectOpts);
    const { identity, verify } = tlsOf(
      new URL(`https://${isIP(host) === 6 ? `[${host}]` : host}:${port}`).origin,
    );
    const servername = isIP(host) === 0 ? host : '';
    return connectTls({
      ...options,
      path: undefined,
      servername,
      rejectUnauthorized: verify,
      ...identity(),
    } as ConnectionOptions);
  };
}

/**
 * Closes both sides when the credential ends or the time is up; nothing re-checks it in between. Both at once: a client
 * that does not answer the close must not go on talking to the upstream.
 */
function limitLife(
  source: WebSocket,
  target: WebSocket,
  upgrades: WeakMap<Socket, ForwardedUpgrade>,
  options: WebSocketOptions,
): void {
  // `ws` has no public way from a socket it was handed to the connection it made of it.
  const socket = (source as unknown as { _socket?: Socket })._socket;
  const upgrade = socket === undefined ? undefined : upgrades.get(socket);
  const untilExpiry =
    upgrade?.expiresAt === undefined ? Infinity : (upgrade.expiresAt - options.now()) * 1000;
  const life = Math.min(untilExpiry, options.maxAge > 0 ? options.maxAge : Infinity);
  if (life > MAX_DELAY) return;
  const reason = untilExpiry <= life ? 'token expired' : 'maximum age';
  const end = (): void => {
    source.close(POLICY_VIOLATION, reason);
    target.close(POLICY_VIOLATION, reason);
  };
  const timer = setTimeout(end, Math.max(life, 0));
  source.once('close', () => clearTimeout(timer));
}

/** Back-pressure, which the plugin leaves out: a reader that is slow makes the writer wait instead of our memory grow. */
function holdBack(from: WebSocket, to: WebSocket): void {
  if (from.isPaused || !isFull(to, HIGH_WATER)) return;
  from.pause();
  const look = (): void => {
    if (from.readyState === from.OPEN && isFull(to, HIGH_WATER / 2)) setTimeout(look, LOOK_AGAIN);
    // A side that closes must be read as well, or it never hears the other one's close.
    else from.resume();
  };
  setTimeout(look, LOOK_AGAIN);
}

/** Whether what is sent now would wait in memory: for the upstream to accept, or for a slow reader. */
function isFull(to: WebSocket, limit: number): boolean {
  return to.readyState === to.CONNECTING || (to.readyState === to.OPEN && to.bufferedAmount >= limit);
}

function handshakeFields(flat: readonly string[]): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {};
  for (let i = 0; i < flat.length; i += 2) {
    const name = (flat[i] as string).toLowerCase();
    if (HANDSHAKE.has(name)) continue;
    const value = flat[i + 1] as string;
    const before = headers[name];
    headers[name] =
      before === undefined ? value : Array.isArray(before) ? [...before, value] : [before, value];
  }
  return headers;
}
