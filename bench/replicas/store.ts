import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createClient } from '@redis/client';
import { freePort } from '../../test/stack/port.js';
import { type Child, listening, start } from '../child.js';
import { median } from '../report.js';
import { processTimeOf } from '../usage.js';

/** How a gateway reaches the store: `introspection.cache.shared`. */
export interface Access {
  readonly url: string;
  readonly keyFile: string;
}

/** A `redis-server` that gateways share, on the core of what measures. */
export interface SharedStore {
  readonly socket: Access;
  readonly tcp: Access;
  /** The store as if it were so many milliseconds away. */
  distant(ms: number): Promise<Access>;
  /** Milliseconds from a command to its answer, the median of some. */
  roundTrip(access: Access): Promise<number>;
  usage(): Promise<StoreUsage>;
  /** Forgets everything. */
  clear(): Promise<void>;
  stop(): Promise<void>;
}

/** What the store has done since its start, and what it holds. */
export interface StoreUsage {
  /** Commands that gateways sent, by name. */
  readonly commands: Readonly<Record<string, number>>;
  /** Answers that it holds. */
  readonly answers: number;
  /** Bytes that it has allocated. */
  readonly memory: number;
  /** User and system time, in microseconds. */
  readonly cpu: number;
}

/** Commands about answers; the others are the bench's own, or keep connections. */
const COUNTED = ['getrange', 'set', 'unlink'];
const PINGS = 51;

/** Why there can be none here, or undefined. */
export function storeMissing(): string | undefined {
  const { status } = spawnSync('redis-server', ['--version']);
  return status === 0 ? undefined : 'apt-get install redis-server';
}

/**
 * Starts one that keeps nothing on disk.
 *
 * @param folder for its socket and the key of the gateways
 */
export async function startStore(folder: string): Promise<SharedStore> {
  mkdirSync(folder, { recursive: true });
  const port = await freePort();
  const path = join(folder, 'store.sock');
  const keyFile = join(folder, 'key');
  writeFileSync(keyFile, randomBytes(32).toString('hex'));
  const file = join(folder, 'redis.conf');
  const lines = [`port ${port}`, 'bind 127.0.0.1', `unixsocket ${path}`, 'save ""', 'appendonly no'];
  writeFileSync(file, lines.join('\n'));
  const server = start(1, 'redis-server', [file], join(folder, 'store.log'));
  await listening(port);
  const client = createClient({ url: `redis://127.0.0.1:${port}` });
  client.on('error', () => {});
  await client.connect();
  const proxies: Child[] = [];
  return {
    socket: { url: `redis+unix://${path}`, keyFile },
    tcp: { url: `redis://127.0.0.1:${port}`, keyFile },
    async distant(ms) {
      const program = fileURLToPath(new URL('delay.js', import.meta.url));
      const proxy = start(1, process.execPath, [program, String(port), String(ms)]);
      proxies.push(proxy);
      return { url: `redis://127.0.0.1:${await proxy.ask()}`, keyFile };
    },
    async roundTrip({ url }) {
      const socket = url.startsWith('redis+unix://')
        ? { path: url.slice('redis+unix://'.length) }
        : undefined;
      const pinging = createClient(socket === undefined ? { url } : { socket: { ...socket, tls: false } });
      await pinging.connect();
      const times: number[] = [];
      for (let i = 0; i < PINGS; i++) {
        const since = performance.now();
        await pinging.ping();
        times.push(performance.now() - since);
      }
      pinging.destroy();
      return median(times);
    },
    async usage() {
      // First, because looking at the names costs the store something as well.
      const cpu = processTimeOf(server.pid);
      const stats = String(await client.info('commandstats'));
      const names = await client.keys('*:answer:*');
      const memory = String(await client.info('memory'));
      return {
        commands: Object.fromEntries(
          [...stats.matchAll(/^cmdstat_([a-z]+):calls=(\d+)/gm)]
            .filter(([, name]) => COUNTED.includes(name as string))
            .map(([, name, calls]) => [name as string, Number(calls)]),
        ),
        answers: names.filter((name) => !name.endsWith(':turn')).length,
        memory: Number(/^used_memory:(\d+)/m.exec(memory)?.[1]),
        cpu,
      };
    },
    async clear() {
      await client.flushAll();
    },
    async stop() {
      client.destroy();
      for (const proxy of proxies) await proxy.stop();
      await server.stop();
    },
  };
}
