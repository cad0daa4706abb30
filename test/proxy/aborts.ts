import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { Random } from '../fuzz/random.js';
import { request } from './raw.js';

/**
 * How a slow upstream answers: after a while or never, in pieces, for longer than its clients stay.
 *
 */
export function dawdler(seed: number): (message: IncomingMessage, response: ServerResponse) => void {
  const random = new Random(seed);
  return (_message, response) => {
    if (random.chance(0.3)) return;
    const begin = setTimeout(() => {
      response.writeHead(200);
      const more = setInterval(() => response.write(Buffer.alloc(random.below(30_000))), 3);
      response.on('close', () => clearInterval(more));
    }, random.below(25));
    response.on('close', () => clearTimeout(begin));
  };
}

/** Requests of every kind, as far as a client gets with them before it leaves. */
function piecesOf(random: Random, token: string): string[] {
  const authorized = [`Authorization: Bearer ${token}`];
  switch (random.below(4)) {
    case 0:
      return [request('GET /open')];
    case 1:
      return [request('GET /guarded/a', authorized)];
    case 2:
      return [
        request('POST /open', ['Content-Length: 1000000'], 'a'.repeat(1_000)),
        ...Array(20).fill('a'.repeat(9_000)),
      ];
    default:
      return [
        request('POST /guarded/a', [...authorized, 'Transfer-Encoding: chunked']),
        ...Array(20).fill(`1000\r\n${'a'.repeat(4_096)}\r\n`),
      ];
  }
}

/**
 * Lets clients ask and leave at random moments, some with a FIN and some with a reset.
 *
 * @param count how many, `width` of them at a time
 * @param patience milliseconds the most patient stays
 */
export async function leave(
  port: number,
  count: number,
  width: number,
  patience: number,
  seed: number,
): Promise<void> {
  const random = new Random(seed);
  let begun = 0;
  async function client(): Promise<void> {
    while (begun < count) {
      // Now and then a token that nobody has asked about yet.
      const token = random.chance(0.2) ? `new-${begun}` : 'good-read';
      begun++;
      const pieces = piecesOf(random, token);
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => {});
      // Some read what they get, some do not.
      if (random.chance(0.7)) socket.resume();
      for (const piece of pieces) socket.write(piece);
      const timer = setTimeout(
        () => (random.chance(0.5) ? socket.destroy() : socket.resetAndDestroy()),
        random.below(patience),
      );
      await once(socket, 'close');
      clearTimeout(timer);
    }
  }
  await Promise.all(Array.from({ length: width }, client));
}
