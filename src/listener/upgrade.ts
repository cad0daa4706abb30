import { type IncomingMessage, type Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { OnFault } from '../observe/request-record.js';
import { DRAIN_BYTES, DRAIN_TIME } from '../proxy/refusal.js';
import type { UpgradingConnection } from '../proxy/websocket/websockets.js';
import type { Pipelines } from './pipelining.js';

/**
 * Handles a request that asks for another protocol. It answers the request like any other, unless it takes
 * the connection.
 */
export type ServeUpgrade = (
  message: IncomingMessage,
  response: ServerResponse,
  connection: UpgradingConnection,
) => void;

/**
 * Serves requests with an Upgrade. Node hands their connection over at once, even if an earlier request on it
 * still waits for its response, and removes its own listeners from it. So a second response cannot be written
 * there, and a connection reset would crash the process.
 *
 * An upgrade after unanswered requests is not served: the connection closes after their responses, and the
 * client may retry (RFC 9112 §9.3.2: later requests may stay unanswered when a connection closes).
 *
 * @param pipelines know which connections have unanswered requests
 * @param serve called for all other upgrades; its response is the connection's last
 * @param onFault called for an exception, which ended one connection
 * @param linger milliseconds that a client may take to close its connection after the response
 */
export function serveUpgrades(
  server: Server,
  pipelines: Pipelines,
  serve: ServeUpgrade,
  onFault: OnFault,
  linger = DRAIN_TIME,
): void {
  server.on('upgrade', (message: IncomingMessage, duplex: Duplex, early: Buffer) => {
    const socket = duplex as Socket;
    socket.on('error', forget);
    try {
      if (!pipelines.handOver(socket)) return;
      const response = new ServerResponse(message);
      serve(message, response, connect(socket, response, early, linger));
    } catch (error) {
      socket.destroy();
      onFault('upgrade', error);
    }
  });
}

/** Connects a response to the socket, as Node's server does for connections that it has not handed over. */
function connect(
  socket: Socket,
  response: ServerResponse,
  early: Buffer,
  linger: number,
): UpgradingConnection {
  const onDrain = (): boolean => response.emit('drain');
  // A client that has ended its direction counts as disconnected, as with other requests.
  const onEnd = (): void => {
    if (!response.writableEnded) socket.destroy();
  };
  const onFinish = (): void => endSoon(socket, linger);
  response.shouldKeepAlive = false;
  response.assignSocket(socket);
  response.once('finish', onFinish);
  socket.on('drain', onDrain);
  socket.on('end', onEnd);
  return {
    early,
    take() {
      if (socket.destroyed) return undefined;
      response.off('finish', onFinish);
      socket.off('drain', onDrain);
      socket.off('end', onEnd);
      response.detachSocket(socket);
      return socket;
    },
  };
}

/**
 * Closes a connection after its last response. If it closed with unread bytes, it would be reset, and the
 * client could lose the response.
 */
function endSoon(socket: Socket, linger: number): void {
  let left = DRAIN_BYTES;
  const timer = setTimeout(() => socket.destroy(), linger).unref();
  socket.once('close', () => clearTimeout(timer));
  socket.on('data', (bytes: Buffer) => {
    left -= bytes.length;
    if (left < 0) socket.pause();
  });
  socket.end();
}

/** Ignores an `error` event: the `close` event that follows handles it. */
function forget(): void {}
