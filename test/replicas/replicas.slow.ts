import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Pool } from 'undici';
import { startRedis } from '../auth/introspection/redis.js';
import { type Child, startChild } from '../child.js';
import { Random } from '../fuzz/random.js';
import { VECTOR_RULES } from '../gateway.js';
import { startIntrospection } from '../introspection.js';
import { available, nodeThatSharesPorts } from '../require.js';
import { freePort } from '../stack/port.js';
import { until } from '../until.js';

// Processes on one port with one store are one gateway: the kernel spreads connections over them.

const REPLICAS = 4;
const TOKENS = 10_000;
const REQUESTS = 4 * TOKENS;
/** Connections of the clients. */
const CONNECTIONS = 64;

/** Replicas on one port, and all that they need. */
async function start(t: Test, tokens: readonly string[]) {
  const node = nodeThatSharesPorts();
  const folder = mkdtempSync(join(tmpdir(), 'scopegate-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const socket = join(folder, 'store.sock');
  const keyFile = join(folder, 'key');
  writeFileSync(keyFile, randomBytes(32).toString('hex'));
  await startRedis(t, { lines: [`unixsocket ${socket}`] });
  const server = await startIntrospection(
    Object.fromEntries(tokens.map((token) => [token, { scope: 'read' }])),
  );
  const upstream = createServer((_message, response) => response.end('served')).listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  t.teardown(async () => {
    upstream.closeAllConnections();
    upstream.close();
    await server.close();
  });
  const port = await freePort();
  const settings = {
    listen: {
      proxy: { host: '127.0.0.1', port, reusePort: true },
      admin: { host: '127.0.0.1', port: 0 },
    },
    services: { default: `http://127.0.0.1:${(upstream.address() as AddressInfo).port}` },
    matching: { overlap: 'specific' },
    introspection: {
      url: server.url,
      timeout: '30s',
      cache: { ttl: '10m', shared: { url: `redis+unix://${socket}`, keyFile, timeout: '10s', wait: '30s' } },
    },
    log: { level: 'debug', audit: false },
  };
  const replica = async (): Promise<Child> => {
    const child = await startChild(t, settings, VECTOR_RULES, {}, [], node);
    await until(() => child.output().includes('listening for purges of other gateways'));
    return child;
  };
  const replicas = await Promise.all(Array.from({ length: REPLICAS }, replica));
  return { server, port, replicas, replica };
}

/** Clients that are connected to a port. */
function clientsOf(t: Test, port: number) {
  const pool = new Pool(`http://127.0.0.1:${port}`, { connections: CONNECTIONS, pipelining: 1 });
  t.teardown(() => pool.destroy());
  return async (token: string): Promise<number> => {
    const { statusCode, body } = await pool.request({
      path: '/x',
      method: 'GET',
      headers: { host: 'gate.example', authorization: `Bearer ${token}` },
    });
    await body.dump();
    return statusCode;
  };
}

/** Does something so many times, with as many at once as there are connections. */
async function times(count: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      for (let index = next++; index < count; index = next++) await work(index);
    }),
  );
}

/** How many requests each replica has answered. */
function served(replicas: readonly Child[]): Promise<number[]> {
  return Promise.all(
    replicas.map(async ({ adminUrl }) => {
      const text = await (await fetch(`${adminUrl}/metrics`)).text();
      return [...text.matchAll(/^scopegate_requests_total\{.*\} (\d+)$/gm)].reduce(
        (sum, [, count]) => sum + Number(count),
        0,
      );
    }),
  );
}

t.test('replicas on one port ask once for each token, and forget it together', async (t) => {
  if (!available(t, 'redis') || !available(t, 'reuseport')) return;
  const names = Array.from({ length: TOKENS }, (_, i) => `token-${i}`);
  const { server, port, replicas } = await start(t, names);
  const ask = clientsOf(t, port);
  const random = new Random(7662);
  // Each token four times, close together, so that it reaches several replicas while it is new.
  const order = Array.from({ length: REQUESTS }, (_, i) => ({
    token: names[i >> 2] as string,
    at: i + random.below(64),
  }));
  order.sort((a, b) => a.at - b.at);
  const statuses = new Map<number, number>();
  await times(REQUESTS, async (index) => {
    const status = await ask(order[index]?.token as string);
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
  });
  const counts = await served(replicas);
  t.comment(`${REQUESTS} requests, ${server.asked.length} introspections; by replica: ${counts.join(', ')}`);
  t.same([...statuses], [[200, REQUESTS]]);
  t.equal(server.asked.length, TOKENS);
  t.ok(
    counts.every((count) => count > 0),
    'the kernel gives each replica some',
  );

  const revoked = names[7] as string;
  await times(4 * CONNECTIONS, async () => void (await ask(revoked)));
  server.tokens.delete(revoked);
  const reply = await fetch(`${replicas[0]?.adminUrl}/cache/purge`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ token: revoked }),
  });
  const purged = performance.now();
  t.match(await reply.json(), { told: true });
  let late = 0;
  for (let rest = CONNECTIONS; rest > 0; ) {
    if ((await ask(revoked)) === 401) rest--;
    else {
      rest = CONNECTIONS;
      late = performance.now() - purged;
    }
  }
  t.comment(`a purge was effective at all replicas after ${late.toFixed(0)} ms`);
});

t.test('a replica that is killed costs its own requests alone', async (t) => {
  if (!available(t, 'redis') || !available(t, 'reuseport')) return;
  const { port, replicas } = await start(t, ['good']);
  const ask = clientsOf(t, port);
  await times(4 * CONNECTIONS, async () => void (await ask('good')));
  let failed = 0;
  const statuses = new Set<number>();
  const victim = replicas[1] as Child;
  await times(8_000, async (index) => {
    if (index === 2_000) victim.process.kill('SIGKILL');
    try {
      statuses.add(await ask('good'));
    } catch {
      failed++;
    }
  });
  t.equal(await victim.ended, 'SIGKILL');
  t.comment(`${failed} of 8000 requests failed`);
  t.same([...statuses], [200]);
  t.ok(failed <= CONNECTIONS, 'no more than were on its connections');
});

t.test('a rolling restart of all replicas under load fails no request', async (t) => {
  if (!available(t, 'redis') || !available(t, 'reuseport')) return;
  const { port, replicas, replica } = await start(t, ['good']);
  const ask = clientsOf(t, port);
  const statuses = new Map<string, number>();
  let restarting = true;
  const load = times(Number.POSITIVE_INFINITY, async () => {
    if (!restarting) throw new Error('over');
    const status = await ask('good').then(String, ({ code }: { code: string }) => code);
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
  }).catch(() => {});
  for (const old of replicas) {
    const before = statuses.get('200') ?? 0;
    await replica();
    old.process.kill('SIGTERM');
    t.equal(await old.ended, 0);
    await until(() => (statuses.get('200') ?? 0) > before);
  }
  restarting = false;
  await load;
  t.comment(`${statuses.get('200')} requests during four restarts`);
  t.same([...statuses.keys()], ['200']);
});
