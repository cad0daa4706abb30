import type { RequestListener } from 'node:http';
import { constants, createServer, type Http2Session } from 'node:http2';
import type { Server } from 'node:https';
import type { TLSSocket } from 'node:tls';
import { allowsHttp2 } from '../tls/suites.js';

/** Limits on clients that speak HTTP/2; times in milliseconds, sizes in bytes. */
export interface Http2Limits {
  /** Requests that one connection may have at once. */
  readonly maxStreams: number;
  readonly maxHeaderBytes: number;
  /** Until a connection's first request has arrived. */
  readonly headersTimeout: number;
  /** How long a connection without requests stays open. */
  readonly keepAliveTimeout: number;
  /** A connection is renewed after so many requests. */
  readonly requestsPerConnection: number;
}

/** The HTTP/2 side of a TLS listener. */
export interface Http2Connections {
  /** Tells every client to send no further request; its connection ends with the last answer (RFC 9113 §6.8). */
  drain(): void;
  /** Ends every connection now. */
  cut(): void;
}

/** More fields than the request handler accepts: it is the request handler that answers about them. */
const MAX_FIELDS = 512;
/**
 * Requests that a connection may take back, at once and in the long run: a browser that leaves a page takes many back, a
 * flood of them (CVE-2023-44487) has no end. nghttp2 has a limit of its own, further up, at which it reads no more and
 * leaves the streams that are open as they are.
 */
const RESETS = 400;
const RESETS_PER_SECOND = 20;
/** How long a connection may take to end once it is no longer used, in milliseconds. */
const FAREWELL = 1_000;

/**
 * Serves HTTP/2 to the clients of a TLS listener that chose it in the handshake (ALPN). Connections of HTTP/1.1 stay
 * with Node's own server, parser and limits as they are without this: an HTTP/2 server that falls back to HTTP/1.1
 * would take them over with other defaults.
 *
 * @param server not yet listening, `h2` among its ALPN protocols
 * @param serve takes each stream as the request it is
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
  // `Expect` is answered after the decision, and CONNECT by the error table.
  for (const event of ['request', 'checkContinue', 'checkExpectation', 'connect']) {
    multiplexer.on(event, serve);
  }
  // A connection that broke concerns nobody but its streams, which close.
  multiplexer.on('sessionError', () => {});
  multiplexer.on('session', (session) => {
    if (!allowsHttp2((session.socket as TLSSocket).getCipher())) {
      // Its client may come back with HTTP/1.1, or with better suites (RFC 9113 §9.2.2).
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
 * Ends a connection on which no request has arrived in time. Its timers do not ask whether bytes arrive: pings, or a
 * header section that comes byte by byte, keep no connection open.
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

/** Ends a connection at once, and says why (RFC 9113 §7). */
function cutOff(session: Http2Session, code: number): void {
  if (session.destroyed) return;
  session.goaway(code);
  session.destroy();
}
