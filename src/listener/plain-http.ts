import type { Server } from 'node:https';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { denial } from '../model/errors.js';
import { refusalText } from './broken-request.js';

/** What OpenSSL says of a request without TLS, and of CONNECT. */
const PLAIN: ReadonlySet<string | undefined> = new Set([
  'ERR_SSL_HTTP_REQUEST',
  'ERR_SSL_HTTPS_PROXY_REQUEST',
]);

/**
 * Answers a client that speaks plain HTTP at a port for TLS with 400, as nginx does: a connection that just ends tells
 * nobody what is wrong. The answer goes out on the connection below TLS, which Node shows before the handshake.
 *
 * @param server not yet listening
 */
export function answerPlainHttp(server: Server): void {
  const handshaking = new Map<string, Socket>();
  server.on('connection', (socket: Socket) => {
    const name = nameOf(socket);
    handshaking.set(name, socket);
    socket.once('close', () => handshaking.delete(name));
  });
  server.on('secureConnection', (socket) => handshaking.delete(nameOf(socket)));
  server.prependListener('tlsClientError', (error: Error & { code?: string }, socket: TLSSocket) => {
    const below = handshaking.get(nameOf(socket));
    if (!PLAIN.has(error.code) || below?.writable !== true) return;
    below.end(refusalText(denial('malformed_request', 'plain HTTP was sent to a port for HTTPS')));
  });
}

/** A connection's other end, which is the same above and below TLS. */
function nameOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
