import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

const ending = new WeakSet<Duplex>();

/** The response that has a connection now; Node has no public way to ask. */
export function pendingResponse(socket: Duplex): ServerResponse | undefined {
  return (socket as { _httpMessage?: ServerResponse | null })._httpMessage ?? undefined;
}

/** Ends a connection, on which no further request is read, when it has brought the answers that it still owes. */
export function endAfterResponses(socket: Duplex): void {
  if (ending.has(socket)) return;
  ending.add(socket);
  waitForAnswers(socket);
}

function waitForAnswers(socket: Duplex): void {
  const current = pendingResponse(socket);
  if (current === undefined) {
    socket.end(() => socket.destroy());
    return;
  }
  if (!current.req.complete) {
    // What is left of its body will never be read.
    socket.destroy();
    return;
  }
  // The next response gets the connection when this one has left it.
  current.once('close', () => setImmediate(waitForAnswers, socket));
}
