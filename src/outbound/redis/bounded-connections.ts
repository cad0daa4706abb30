import { subscribe } from 'node:diagnostics_channel';
import { Socket } from 'node:net';
import { type ReplyLimits, ReplyReader } from './reply-reader.js';

/** The longest value that gateways share: the bytes of an encrypted answer, or of an encrypted purge. */
export const MAX_VALUE = 1_048_576;
export const MAX_ENTRY = 65_536;
/** The most entries of a list that are read with one command. */
export const PAGE = 100;

/**
 * The limits of one reply. A page of the longest entries is within them, and so is the list of slots and
 * nodes of a cluster.
 */
const LIMITS: ReplyLimits = {
  text: MAX_VALUE + 1,
  reply: 8 * MAX_VALUE,
  elements: 65_536,
  depth: 8,
};

/**
 * The high-water mark that identifies the library's connections, because no other connection of the process
 * has it. The library makes its connections itself and does not expose them.
 */
const MARK = 65_521;

/** The options of a socket whose replies are bounded, once {@link boundReplies} was called. */
export const BOUNDED = { highWaterMark: MARK };

/** A store sent more than a gateway reads, or an invalid reply. */
export class ReplyRefused extends Error {
  readonly code = 'reply_refused';
  constructor() {
    super('the reply of the store exceeds a limit, or is malformed');
    this.name = 'ReplyRefused';
  }
}

let watching = false;

/**
 * Closes connections with the options {@link BOUNDED} as soon as a reply exceeds a limit, before the library
 * decodes it. Node 20 does not announce connections over TLS, so these are not bounded there.
 */
export function boundReplies(): void {
  if (watching) return;
  watching = true;
  subscribe('net.client.socket', (message) => {
    const { socket } = message as { socket?: unknown };
    if (socket instanceof Socket && socket.readableHighWaterMark === MARK) bound(socket);
  });
}

function bound(socket: Socket): void {
  const reader = new ReplyReader(LIMITS);
  function check(chunk: Buffer): void {
    if (reader.accepts(chunk)) return;
    // The library gets this chunk in any case. It is overwritten with bytes that are not RESP, and the
    // library gets the error with the reason before it.
    chunk.fill(0);
    socket.emit('error', new ReplyRefused());
    socket.destroy();
  }
  // A listener that is added during this event runs before the one that the event announces.
  function first(event: string | symbol): void {
    if (event !== 'data') return;
    socket.off('newListener', first);
    socket.on('data', check);
  }
  socket.on('newListener', first);
  // An error event without a listener would end the process.
  socket.on('error', () => {});
}
