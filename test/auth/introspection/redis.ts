import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from '@redis/client';
import type { Scope } from '../../gateway.js';
import type { Certificate } from '../../stack/certificate.js';
import { freePort } from '../../stack/port.js';
import { until } from '../../until.js';

/** A Redis server of the test's own. */
export interface TestRedis {
  readonly url: string;
  readonly port: number;
  /** Everything it holds that is a string, by name. */
  all(): Promise<Map<string, string>>;
  set(name: string, value: string): Promise<void>;
  /** Milliseconds that a name has left. */
  life(name: string): Promise<number>;
  /** Any command. */
  call(...command: string[]): Promise<unknown>;
  /** Takes connections and answers nothing. */
  stall(): void;
  goOn(): void;
  stop(): Promise<void>;
  restart(): Promise<void>;
}

/** What a server may be started with. */
export interface RedisConfiguration {
  /** Lines of its configuration file, over those of the fixture. */
  readonly lines?: readonly string[];
  readonly sentinel?: boolean;
  /** How the fixture itself gets in. */
  readonly password?: string;
  /** Speaks TLS alone, at 127.0.0.1. */
  readonly tls?: Certificate;
}

const TLS = [
  'tls-cert-file cert',
  'tls-key-file key',
  'tls-ca-cert-file ca',
  'tls-auth-clients no',
  'tls-replication yes',
];

/** Starts one on a free loopback port; it keeps nothing on disk and ends with the test. */
export async function startRedis(
  t: Scope,
  { lines = [], sentinel = false, password, tls }: RedisConfiguration = {},
): Promise<TestRedis> {
  const folder = mkdtempSync(join(tmpdir(), 'scopegate-redis-'));
  const port = await freePort();
  const url = `redis${tls === undefined ? '' : 's'}://127.0.0.1:${port}`;
  const client = createClient({
    url,
    socket:
      tls === undefined
        ? { reconnectStrategy: 10 }
        : { reconnectStrategy: 10, tls: true, ca: tls.ca, host: '127.0.0.1', port },
    ...(password === undefined ? {} : { password }),
  });
  client.on('error', () => {});
  const file = join(folder, 'redis.conf');
  const ports = tls === undefined ? [`port ${port}`] : ['port 0', `tls-port ${port}`, ...TLS];
  for (const [name, text] of Object.entries(tls ?? {})) writeFileSync(join(folder, name), text as string);
  const common = [...ports, 'bind 127.0.0.1'];
  const storage = sentinel ? [] : ['save ""', 'appendonly no'];
  // Relative names are those of `dir`, which must come first.
  writeFileSync(file, [`dir ${folder}`, ...common, ...storage, ...lines].join('\n'));
  let server: ChildProcess;
  async function start(): Promise<void> {
    server = spawn('redis-server', [file, ...(sentinel ? ['--sentinel'] : [])], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    for await (const chunk of server.stdout as NonNullable<ChildProcess['stdout']>) {
      if (/Ready to accept connections|Sentinel ID is/.test(String(chunk))) break;
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
    port,
    async all() {
      const names = await client.keys('*');
      const values = await Promise.all(names.map((name) => client.get(name).catch(() => undefined)));
      return new Map(names.map((name, i) => [name, values[i] ?? '']));
    },
    async set(name, value) {
      await client.set(name, value);
    },
    life: (name) => client.pTTL(name),
    call: (...command) => client.sendCommand(command),
    stall: () => void server.kill('SIGSTOP'),
    goOn: () => void server.kill('SIGCONT'),
    stop,
    restart: start,
  };
}

/** A cluster of three masters, each with a third of the slots, and of replicas of the first ones. */
export async function startCluster(t: Scope, replicas = 0, tls?: Certificate): Promise<TestRedis[]> {
  const slots = [
    [0, 5460],
    [5461, 10922],
    [10923, 16383],
  ] as const;
  const nodes = await Promise.all(
    Array.from({ length: slots.length + replicas }, async () => {
      const bus = await freePort();
      const lines = [
        'cluster-enabled yes',
        `cluster-port ${bus}`,
        'cluster-node-timeout 1000',
        'repl-diskless-sync-delay 0',
      ];
      if (tls === undefined) return { bus, redis: await startRedis(t, { lines }) };
      return { bus, redis: await startRedis(t, { lines: [...lines, 'tls-cluster yes'], tls }) };
    }),
  );
  const [first, ...others] = nodes as [(typeof nodes)[0], ...typeof nodes];
  await Promise.all(
    slots.map(([from, to], i) => nodes[i]?.redis.call('CLUSTER', 'ADDSLOTSRANGE', `${from}`, `${to}`)),
  );
  for (const { redis, bus } of others)
    await first.redis.call('CLUSTER', 'MEET', '127.0.0.1', `${redis.port}`, `${bus}`);
  const says = async (redis: TestRedis, what: string): Promise<boolean> =>
    String(await redis.call('CLUSTER', 'INFO')).includes(what);
  for (const { redis } of nodes) await until(() => says(redis, `cluster_known_nodes:${nodes.length}`));
  for (let i = 0; i < replicas; i++) {
    const id = String(await nodes[i]?.redis.call('CLUSTER', 'MYID'));
    const replica = nodes[slots.length + i]?.redis as TestRedis;
    await replica.call('CLUSTER', 'REPLICATE', id);
    await until(() => inSync(replica));
  }
  for (const { redis } of nodes) await until(() => says(redis, 'cluster_state:ok'));
  return nodes.map(({ redis }) => redis);
}

/** A master that is called `main`, a replica of it, and sentinels that watch over both; all with passwords. */
export async function startSentinels(
  t: Scope,
  replicas: number,
  count: number,
): Promise<{ master: TestRedis; replicas: TestRedis[]; sentinels: TestRedis[] }> {
  const lines = ['requirepass store-password', 'masterauth store-password', 'repl-diskless-sync-delay 0'];
  const master = await startRedis(t, { lines, password: 'store-password' });
  const started = await Promise.all(
    Array.from({ length: replicas }, () =>
      startRedis(t, {
        lines: [...lines, `replicaof 127.0.0.1 ${master.port}`],
        password: 'store-password',
      }),
    ),
  );
  for (const replica of started) {
    await until(() => inSync(replica));
  }
  const sentinels = await Promise.all(
    Array.from({ length: count }, () =>
      startRedis(t, {
        sentinel: true,
        password: 'sentinel-password',
        lines: [
          'requirepass sentinel-password',
          `sentinel monitor main 127.0.0.1 ${master.port} ${Math.ceil((count + 1) / 2)}`,
          'sentinel auth-pass main store-password',
          'sentinel down-after-milliseconds main 500',
          'sentinel failover-timeout main 3000',
        ],
      }),
    ),
  );
  for (const sentinel of sentinels) {
    await until(async () => {
      const known = (await sentinel.call('SENTINEL', 'MASTER', 'main')) as Record<string, string>;
      return Number(known['num-slaves']) === replicas && Number(known['num-other-sentinels']) === count - 1;
    });
  }
  return { master, replicas: started, sentinels };
}

/** Whether a replica has what its master has. */
async function inSync(replica: TestRedis): Promise<boolean> {
  return String(await replica.call('INFO', 'replication')).includes('master_link_status:up');
}
