import type { Server } from 'node:https';
import type { TLSSocket } from 'node:tls';
import { denial } from '../model/errors.js';
import { refusalText } from './broken-request.js';
import { Handshakes } from './handshakes.js';

/** The error codes of OpenSSL for a plain HTTP request, and for CONNECT. */
const PLAIN: ReadonlySet<string | undefined> = new Set([
  'ERR_SSL_HTTP_REQUEST',
  'ERR_SSL_HTTPS_PROXY_REQUEST',
]);

/**
 * Answers 400 to a client that sends plain HTTP to a TLS port, as nginx does. If the connection just closed,
 * nobody would know what is wrong. The response is sent on the TCP connection, without TLS.
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
