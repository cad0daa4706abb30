import type { RequestListener } from 'node:http';
import { constants, createServer, type Http2Session } from 'node:http2';
import type { Server } from 'node:https';
import type { TLSSocket } from 'node:tls';
import { allowsHttp2 } from '../tls/suites.js';

/** Limits for HTTP/2 clients; times in milliseconds, sizes in bytes. */
export interface Http2Limits {
  /** The most requests of one connection at once. */
  readonly maxStreams: number;
  readonly maxHeaderBytes: number;
  /** The time until a connection's first request must have arrived. */
  readonly headersTimeout: number;
  /** How long an idle connection stays open. */
  readonly keepAliveTimeout: number;
  /** After this many requests a connection closes and the client opens another. */
  readonly requestsPerConnection: number;
}

/** The HTTP/2 side of a TLS listener. */
export interface Http2Connections {
  /**
   * Tells every client to send no further request (GOAWAY). Each connection closes after its last response
   * (RFC 9113 §6.8).
   */
  drain(): void;
  /** Destroys every connection now. */
  cut(): void;
}

/**
 * The most header fields that Node accepts. The request handler accepts fewer, so that it answers the
 * request, not Node.
 */
const MAX_FIELDS = 512;
/**
 * How many requests of a connection the client may reset: at once, and per second in the long run. A browser
 * that leaves a page resets many; a rapid reset attack never stops (CVE-2023-44487). nghttp2 has a higher
 * limit of its own, but beyond it, it only stops reading and keeps the open streams.
 */
const RESETS = 400;
const RESETS_PER_SECOND = 20;
/** How long a connection that is no longer used may take to close, in milliseconds. */
const FAREWELL = 1_000;

/**
 * Serves HTTP/2 to the clients of a TLS listener that chose it in the handshake (ALPN). HTTP/1.1 connections
 * keep Node's HTTP/1.1 server, parser and limits unchanged. Node's HTTP/2 server with fallback to HTTP/1.1 is
 * not used, because it would serve them with other defaults.
 *
 * @param server not yet listening, with `h2` among its ALPN protocols
 * @param serve called with each stream as a request
 */
export function serveHttp2(server: Server, limits: Http2Limits, serve: RequestListener): Http2Connections {
  const sessions = new Set<Http2Session>();
  let draining = false;
  const multiplexer = createServer({
    settings: {
      maxConcurrentStreams: limits.maxStreams,
      maxHeaderListSize: limits.maxHeaderBytes,
      enablePush: false,
    },
    maxHeaderListPairs: MAX_FIELDS,
  });
  // The request handler answers `Expect` after the decision, and refuses CONNECT with the error table.
  for (const event of ['request', 'checkContinue', 'checkExpectation', 'connect']) {
    multiplexer.on(event, serve);
  }
  // A broken connection affects only its streams, which close by themselves.
  multiplexer.on('sessionError', () => {});
  multiplexer.on('session', (session) => {
    if (!allowsHttp2((session.socket as TLSSocket).getCipher())) {
      // The client may try again with HTTP/1.1, or with stronger cipher suites (RFC 9113 §9.2.2).
      cutOff(session, constants.NGHTTP2_INADEQUATE_SECURITY);
      return;
    }
    sessions.add(session);
    session.once('close', () => sessions.delete(session));
    supervise(session, limits);
    if (draining) session.close();
  });

  const others = server.listeners('secureConnection') as ((socket: TLSSocket) => void)[];
  server.removeAllListeners('secureConnection');
  server.on('secureConnection', (socket: TLSSocket) => {
    if (socket.alpnProtocol === 'h2') multiplexer.emit('connection', socket);
    else for (const listener of others) listener.call(server, socket);
  });
  return {
    drain() {
      draining = true;
      for (const session of sessions) session.close();
    },
    cut() {
      for (const session of sessions) session.destroy();
    },
  };
}

/**
 * Closes a connection on which no request has arrived in time. Arriving bytes do not extend the time, so
 * neither pings nor a header section that arrives byte by byte keep a connection open.
 */
function supervise(session: Http2Session, limits: Http2Limits): void {
  let open = 0;
  let served = 0;
  let timer: NodeJS.Timeout | undefined;
  let patience = RESETS;
  let last = performance.now();
  const wait = (ms: number): void => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      session.close();
      timer = setTimeout(() => session.destroy(), FAREWELL);
    }, ms);
  };
  wait(limits.headersTimeout);
  session.on('stream', (stream) => {
    open++;
    clearTimeout(timer);
    if (++served === limits.requestsPerConnection) session.close();
    stream.once('close', () => {
      open--;
      if (stream.aborted) {
        const now = performance.now();
        patience = Math.min(RESETS, patience + ((now - last) / 1_000) * RESETS_PER_SECOND) - 1;
        last = now;
        if (patience < 0) cutOff(session, constants.NGHTTP2_ENHANCE_YOUR_CALM);
      }
      if (open === 0 && !session.destroyed) wait(limits.keepAliveTimeout);
    });
  });
  session.once('close', () => clearTimeout(timer));
}

/** Closes a connection at once, with an error code (RFC 9113 §7). */
function cutOff(session: Http2Session, code: number): void {
  if (session.destroyed) return;
  session.goaway(code);
  session.destroy();
}
