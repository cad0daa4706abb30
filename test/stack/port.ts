import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';
import { PortTaken } from './listener.js';

/** From here on Linux gives ports to whoever asks for any (ip_local_port_range): one of those could be gone at once. */
const HANDED_OUT = 32_768;

/** A loopback port that nothing listens on, for a child process that must be told one, or for nobody. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(10_000, HANDED_OUT);
    try {
      await probe(port);
      return port;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    }
  }
}

/**
 * Makes sure that a port can be listened on, before a child process is started that could say so less clearly.
 *
 * @param how a sentence that says how to choose another
 * @throws PortTaken
 */
export async function claim(what: string, port: number, how: string): Promise<void> {
  try {
    await probe(port);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    throw new PortTaken(what, '127.0.0.1', port, how);
  }
}

async function probe(port: number): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  await new Promise((resolve) => server.close(resolve));
}
