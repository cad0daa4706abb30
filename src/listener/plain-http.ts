import type { Server } from 'node:https';
import type { TLSSocket } from 'node:tls';
import { denial } from '../model/errors.js';
import { refusalText } from './broken-request.js';
import { Handshakes } from './handshakes.js';

/** What OpenSSL says of a request without TLS, and of CONNECT. */
const PLAIN: ReadonlySet<string | undefined> = new Set([
  'ERR_SSL_HTTP_REQUEST',
  'ERR_SSL_HTTPS_PROXY_REQUEST',
]);

/**
 * Answers a client that speaks plain HTTP at a port for TLS with 400, as nginx does: a connection that just ends tells
 * nobody what is wrong. The answer goes out on the connection below TLS.
 *
 * @param server not yet listening
 */
export function answerPlainHttp(server: Server, handshakes = new Handshakes(server)): void {
  server.prependListener('tlsClientError', (error: Error & { code?: string }, socket: TLSSocket) => {
    const below = handshakes.connectionOf(socket);
    if (!PLAIN.has(error.code) || below?.writable !== true) return;
    below.end(refusalText(denial('malformed_request', 'plain HTTP was sent to a port for HTTPS')));
  });
}
