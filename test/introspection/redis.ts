import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from '@redis/client';
import type { Scope } from '../gateway.js';
import { freePort } from '../stack/port.js';

/** A Redis server of the test's own. */
export interface TestRedis {
  readonly url: string;
  /** Everything it holds, by name. */
  all(): Promise<Map<string, string>>;
  set(name: string, value: string): Promise<void>;
  /** Milliseconds that a name has left. */
  life(name: string): Promise<number>;
  /** Takes connections and answers nothing. */
  stall(): void;
  goOn(): void;
  stop(): Promise<void>;
  restart(): Promise<void>;
}

/** Starts one on a free loopback port; it keeps nothing on disk and ends with the test. */
export async function startRedis(t: Scope): Promise<TestRedis> {
  const folder = mkdtempSync(join(tmpdir(), 'scopegate-redis-'));
  const port = await freePort();
  const url = `redis://127.0.0.1:${port}`;
  const client = createClient({ url, socket: { reconnectStrategy: 10 } });
  client.on('error', () => {});
  let server: ChildProcess;
  async function start(): Promise<void> {
    const options = { port, bind: '127.0.0.1', save: '', appendonly: 'no', dir: folder };
    const flags = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
    server = spawn('redis-server', flags, { stdio: ['ignore', 'pipe', 'inherit'] });
    for await (const chunk of server.stdout as NonNullable<ChildProcess['stdout']>) {
      if (String(chunk).includes('Ready to accept connections')) break;
    }
    server.stdout?.resume();
  }
  async function stop(): Promise<void> {
    if (server.exitCode !== null || server.signalCode !== null) return;
    const ended = once(server, 'exit');
    server.kill('SIGKILL');
    await ended;
  }
  await start();
  await client.connect();
  t.teardown(async () => {
    client.destroy();
    await stop();
    rmSync(folder, { recursive: true });
  });
  return {
    url,
    async all() {
      const names = await client.keys('*');
      const values = await Promise.all(names.map((name) => client.get(name)));
      return new Map(names.map((name, i) => [name, values[i] ?? '']));
    },
    async set(name, value) {
      await client.set(name, value);
    },
    life: (name) => client.pTTL(name),
    stall: () => void server.kill('SIGSTOP'),
    goOn: () => void server.kill('SIGCONT'),
    stop,
    restart: start,
  };
}
