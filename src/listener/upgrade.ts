import { type IncomingMessage, type Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { OnFault } from '../observe/request-record.js';
import type { UpgradingConnection } from '../proxy/websocket/websockets.js';
import type { Pipelines } from './pipelining.js';

/** How long a client may take to end its connection once it is answered, in milliseconds. */
const LINGER = 5_000;
/** What it may send meanwhile. */
const LINGER_BYTES = 1_048_576;

/** Takes a request that asks for another protocol, and answers it as any other, unless it takes the connection. */
export type ServeUpgrade = (
  message: IncomingMessage,
  response: ServerResponse,
  connection: UpgradingConnection,
) => void;

/**
 * Serves requests with an Upgrade. Node hands their connection over at once, even while an earlier request on it still
 * waits for its answer, and takes its own listeners off it: a second answer cannot be written there, and a reset would
 * end the process.
 *
 * An upgrade behind unanswered requests is not served: the connection ends after their answers, and the client may ask
 * again (RFC 9112 §9.3.2: what follows on a connection may be left unanswered when it closes).
 *
 * @param pipelines know which answers are owed on a connection
 * @param serve called for every other one; its answer is the connection's last
 * @param onFault is told of an exception, which ended one connection
 * @param linger milliseconds that a client may take to end its connection once it is answered
 */
export function serveUpgrades(
  server: Server,
  pipelines: Pipelines,
  serve: ServeUpgrade,
  onFault: OnFault,
  linger = LINGER,
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

/** Does for a response what Node's server does where it has not handed the connection over. */
function connect(
  socket: Socket,
  response: ServerResponse,
  early: Buffer,
  linger: number,
): UpgradingConnection {
  const onDrain = (): boolean => response.emit('drain');
  // A client that has sent its last has left, as with other requests.
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

/** Ends a connection when its last answer is out. Closed over unread bytes it would be reset, and the answer lost. */
function endSoon(socket: Socket, linger: number): void {
  let left = LINGER_BYTES;
  const timer = setTimeout(() => socket.destroy(), linger).unref();
  socket.once('close', () => clearTimeout(timer));
  socket.on('data', (bytes: Buffer) => {
    left -= bytes.length;
    if (left < 0) socket.pause();
  });
  socket.end();
}

/** The close that follows says all there is to say. */
function forget(): void {}
