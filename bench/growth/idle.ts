/**
 * A child process that opens connections to a gateway, sends one request on each, and then keeps them open without sending any more. Prints
 * `open` when all of them have their answer.
 *
 *     node build/bench/growth/idle.js PORT CONNECTIONS
 */
import { connect } from 'node:net';
import { TOKEN } from '../token.js';

const [port = 0, count = 0] = process.argv.slice(2).map(Number);
/** Connections that are opened at once: fewer than a listener lets wait (`listen` backlog). */
const AT_ONCE = 100;
const REQUEST = `GET /get HTTP/1.1\r\nHost: gate.example\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`;

/** Opens one; it counts as open when its request is answered. */
function open(): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(REQUEST));
    socket.once('data', () => resolve());
    socket.on('data', () => {});
    socket.on('error', reject);
    socket.on('close', () => {
      console.error('an idle connection was closed');
      process.exit(1);
    });
  });
}

let left = count;
await Promise.all(
  Array.from({ length: AT_ONCE }, async () => {
    while (left-- > 0) await open();
  }),
);
process.stdout.write('open\n');
// Ends when the bench does, whatever happens to it.
process.stdin.resume();
process.stdin.on('end', () => process.exit());
