/**
 * A child process that makes a store as far away as another machine would be: what clients send arrives some milliseconds later, what
 * they are answered at once. Prints its port.
 *
 *     node build/bench/replicas/delay.js STORE-PORT MILLISECONDS
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';

/** Calls back after so many milliseconds; calls with the same time stay in order. */
export type Later = (work: () => void, ms: number) => void;

/**
 * Makes a server that passes all bytes on to a port.
 *
 * @param ms milliseconds that bytes of the client take
 */
export function delaying(port: number, ms: number, later: Later = setTimeout): Server {
  return createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
    const store = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    client.on('data', (bytes) => later(() => store.write(bytes), ms));
    client.on('end', () => later(() => store.end(), ms));
    store.pipe(client);
    for (const [one, other] of [
      [client, store],
      [store, client],
    ] as const) {
      one.on('error', () => {});
      one.on('close', () => other.destroy());
    }
  });
}

if (process.argv[1]?.endsWith('delay.js')) {
  const [port = 0, ms = 0] = process.argv.slice(2).map(Number);
  const server = delaying(port, ms).listen(0, '127.0.0.1');
  await once(server, 'listening');
  process.stdout.write(`${(server.address() as AddressInfo).port}\n`);
}
