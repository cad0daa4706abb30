import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';
import { PortTaken } from './listener.js';

/** From here on Linux gives ports to whoever asks for any (ip_local_port_range): one of those could be gone at once. */
const HANDED_OUT = 32_768;

/** A loopback port that nothing listens on, for a child process that must be told one, or for nobody. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(10_000, HANDED_OUT);
    if (await isFree(port)) return port;
  }
}

/**
 * Makes sure that a port can be listened on, before a child process is started that could say so less clearly.
 *
 * @param how a sentence that says how to choose another
 * @throws PortTaken
 */
export async function claim(what: string, port: number, how: string): Promise<void> {
  if (!(await isFree(port))) throw new PortTaken(what, '127.0.0.1', port, how);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const free = await new Promise<boolean>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(false) : reject(error),
    );
    server.listen(port, '127.0.0.1', () => resolve(true));
  });
  if (free) await new Promise((resolve) => server.close(resolve));
  return free;
}
