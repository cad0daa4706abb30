import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { Agent, request } from 'undici';
import { startChild } from '../child.js';
import { apiRule, rule } from '../gateway.js';
import { manyRules } from '../rules/large-sets.js';
import { until } from '../until.js';
import { makeMemoryGroup } from './memory-group.js';

/** The limit of the manifests in config/kubernetes. */
const MANIFEST = /limits: \{ memory: (\d+)Mi \}/;
const MIB = 2 ** 20;

/** An answer of some 200 kB, all of it names that no other answer has, or all of it values. */
function largeAnswer(token: string): object {
  const words = Array.from({ length: 200 }, (_, i) => `${token}-${i}-`.padEnd(1_000, 'x'));
  const ext = token.startsWith('names')
    ? Object.fromEntries(words.map((word) => [word, 1]))
    : Object.fromEntries(words.map((word, i) => [`v${i}`, word]));
  return { active: true, scope: 'read', sub: token, client_id: 'c', ext };
}

async function startServers() {
  const introspection = createServer(async (message, response) => {
    let body = '';
    for await (const chunk of message) body += chunk;
    const token = new URLSearchParams(body).get('token') ?? '';
    const answer = /^(names|values|good)/.test(token) ? largeAnswer(token) : { active: false };
    response.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
  });
  // It answers GET, and neither reads nor answers anything else.
  const upstream = createServer((message, response) => {
    if (message.method === 'GET') response.end('ok');
  });
  upstream.on('upgrade', (_message, socket: Socket) => {
    socket.on('error', () => {});
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n');
    socket.pause();
  });
  for (const server of [introspection, upstream]) await once(server.listen(0, '127.0.0.1'), 'listening');
  const urlOf = ({ port }: AddressInfo) => `http://127.0.0.1:${port}`;
  return {
    introspection: urlOf(introspection.address() as AddressInfo),
    upstream: urlOf(upstream.address() as AddressInfo),
    close() {
      for (const server of [introspection, upstream]) server.close().closeAllConnections();
    },
  };
}

/** Does something for each of many numbers, so many at a time. */
async function flood(
  count: number,
  concurrency: number,
  one: (i: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await one(next++);
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
}

/** A masked binary frame (RFC 6455 §5.2) of 60,000 bytes. */
const FRAME = Buffer.concat([Buffer.from([0x82, 0xfe, 0xea, 0x60, 0, 0, 0, 0]), Buffer.alloc(60_000)]);

t.test('with the memory of the shipped manifest no flood ends the process', async (t) => {
  const manifest = readFileSync('config/kubernetes/forward-auth/base/deployment.yaml', 'utf8');
  const limit = Number(MANIFEST.exec(manifest)?.[1]) * MIB;
  const group = makeMemoryGroup(t, limit);
  if (group === undefined) {
    t.comment('not run: this process may make no control group with a limit of memory');
    return;
  }
  const servers = await startServers();
  t.teardown(() => servers.close());
  const folder = t.testdir({
    'rules.yaml': apiRule('gate.example', [
      rule('/x', ['GET'], 'read'),
      { path: '/open', methods: ['GET', 'POST'], accessStrategies: [{ handler: 'noop' }] },
    ]),
  });
  const settings = {
    rules: [folder],
    services: { default: servers.upstream },
    // How busy the machine is must not open the circuit breaker, or the cache stays empty.
    introspection: { url: servers.introspection, timeout: '30s' },
    reload: { watch: false },
    log: { audit: false },
  };
  const gate = await startChild(t, settings, '', {}, group.arguments, '/bin/sh');
  const agent = new Agent({ connections: 64, pipelining: 1 });
  t.teardown(() => agent.close());
  const get = async (token: string): Promise<number> => {
    const headers = { host: 'gate.example', authorization: `Bearer ${token}` };
    const { statusCode, body } = await request(`${gate.url}/x`, { dispatcher: agent, headers });
    await body.dump();
    return statusCode;
  };
  const sockets: Socket[] = [];
  const open = async (head: string, frames: Buffer): Promise<void> => {
    const socket = connect(gate.port, '127.0.0.1');
    sockets.push(socket);
    socket.on('error', () => {});
    await once(socket, 'connect');
    socket.write(`${head}\r\nHost: gate.example\r\n`);
    for (let i = 0; i < 100 && socket.write(i === 0 ? '\r\n' : frames); i++);
  };
  const upgrade =
    'GET /open HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
    'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==';
  const floods: Record<string, () => Promise<unknown>> = {
    '2,500 answers of 200 kB, all names': () => flood(2_500, 16, (i) => get(`names-${i}`)),
    '2,500 answers of 200 kB, all values': () => flood(2_500, 16, (i) => get(`values-${i}`)),
    '50,000 random tokens': () => flood(50_000, 64, (i) => get(`random-${i}`)),
    '300 uploads that nobody reads': () =>
      flood(300, 20, () => open('POST /open HTTP/1.1\r\nContent-Length: 100000000', Buffer.alloc(65_536))),
    '200 WebSockets that nobody reads': () => flood(200, 20, () => open(upgrade, FRAME)),
    'a reload of 3,000 rules': async () => {
      writeFileSync(join(folder, 'more.yaml'), manyRules(3_000));
      gate.process.kill('SIGHUP');
      await until(() => /"msg":"rules (not )?reloaded/.test(gate.output()), 120_000);
      t.comment(/"msg":"(rules [^"]*)"/.exec(gate.output())?.[1] ?? '');
    },
  };
  for (const [name, run] of Object.entries(floods)) {
    await Promise.race([
      run(),
      gate.ended.then((how) => {
        throw new Error(`${name}: it ended with ${how}: ${gate.output().slice(-2_000)}`);
      }),
    ]);
    t.equal(await get('good'), 200, `${name}: and another client is served`);
    const cached = /^scopegate_introspection_cache_bytes (\d+)/m.exec(
      await (await fetch(`${gate.adminUrl}/metrics`)).text(),
    );
    t.comment(
      `${name}: at most ${Math.round(group.peak() / MIB)} of ${limit / MIB} MiB in use, ` +
        `${Math.round(Number(cached?.[1]) / MIB)} MiB of it counted for the cache`,
    );
  }
  t.equal(gate.process.exitCode, null);
  for (const socket of sockets) socket.destroy();
  gate.process.kill('SIGTERM');
  t.equal(await gate.ended, 0);
});
