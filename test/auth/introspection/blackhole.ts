import { fork } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { Scope } from '../../gateway.js';

/**
 * A port on which connecting never ends: a process that listens and then stops for ever, its queue of connections
 * filled up. The system drops every further SYN, as a firewall would.
 */
export async function startBlackhole(t: Scope): Promise<number> {
  const child = fork(fileURLToPath(import.meta.url), ['blackhole']);
  t.teardown(() => child.kill('SIGKILL'));
  const [port] = (await once(child, 'message')) as [number];
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    t.teardown(() => socket.destroy());
    const taken = await Promise.race([
      once(socket, 'connect').then(() => true),
      new Promise<boolean>((resolve) => setTimeout(resolve, 200, false)),
    ]);
    if (!taken) return port;
  }
}

if (process.argv[2] === 'blackhole' && process.send !== undefined) {
  const server = createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
    process.send?.((server.address() as AddressInfo).port, () => {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    });
  });
}
