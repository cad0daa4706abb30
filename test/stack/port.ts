import { type AddressInfo, createServer } from 'node:net';
import { PortTaken } from './listener.js';

/** A loopback port that nothing listens on at this moment, for a child process that must be told one. */
export async function freePort(): Promise<number> {
  return await probe(0);
}

/**
 * Makes sure that a port can be listened on, before a child process is started that could say so less clearly.
 *
 * @param how a sentence that says how to choose another
 * @throws PortTaken
 */
export async function claim(what: string, port: number, how: string): Promise<number> {
  try {
    return await probe(port);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    throw new PortTaken(what, '127.0.0.1', port, how);
  }
}

async function probe(port: number): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  const { port: taken } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return taken;
}
