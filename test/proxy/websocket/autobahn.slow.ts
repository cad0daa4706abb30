import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { WebSocketServer } from 'ws';
import { startChild } from '../../child.js';
import { apiRule } from '../../gateway.js';
import { startIntrospection } from '../../introspection.js';
import { AUTOBAHN, available } from '../../require.js';

/**
 * The cases: all of framing, fragmentation, pings, UTF-8 and closing (1 to 8, 10), of limits (9), and of compression
 * (12, 13) each setting with small, large and fragmented messages. `AUTOBAHN_CASES=*` takes all 517, in half an hour.
 */
const CASES = process.env.AUTOBAHN_CASES?.split(',') ?? [
  ...[1, 2, 3, 4, 5, 6, 7, 9, 10].map((group) => `${group}.*`),
  ...[1, 2, 3, 4, 5].flatMap((setting) => [1, 4, 11].map((size) => `12.${setting}.${size}`)),
  ...[1, 2, 3, 4, 5, 6, 7].flatMap((setting) => [1, 4, 11].map((size) => `13.${setting}.${size}`)),
];
/** How often a case is tried again in which the two differ: cases have times of their own, which a machine may miss. */
const AGAIN = 3;

/** How a case went: what happened, and how the connection was closed. */
type Behavior = string;

/** What Autobahn writes of a case. */
interface Reported {
  readonly behavior: string;
  readonly behaviorClose: string;
}

/** Runs cases against servers, by name. @returns by server and case how each went */
async function fuzz(
  t: Test,
  servers: Readonly<Record<string, string>>,
  cases: readonly string[],
): Promise<Map<string, Map<string, Behavior>>> {
  const place = mkdtempSync(join(tmpdir(), 'autobahn-'));
  t.teardown(() => rmSync(place, { recursive: true }));
  writeFileSync(
    join(place, 'fuzzingclient.json'),
    JSON.stringify({
      outdir: join(place, 'reports'),
      servers: Object.entries(servers).map(([agent, url]) => ({ agent, url })),
      cases,
      'exclude-cases': [],
      'exclude-agent-cases': {},
    }),
  );
  const child = spawn(AUTOBAHN, ['-m', 'fuzzingclient', '-s', 'fuzzingclient.json'], {
    cwd: place,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += text));
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(output.slice(-2_000));
  const report = JSON.parse(readFileSync(join(place, 'reports/index.json'), 'utf8')) as Record<
    string,
    Record<string, Reported>
  >;
  return new Map(
    Object.entries(report).map(([agent, results]) => [
      agent,
      new Map(
        Object.entries(results).map(([id, { behavior, behaviorClose }]) => [
          id,
          `${behavior}, closed ${behaviorClose}`,
        ]),
      ),
    ]),
  );
}

t.test('each of Autobahn’s cases goes through the gateway as it goes without it', async (t) => {
  if (!available(t, 'autobahn')) return;
  const echo = new WebSocketServer({
    host: '127.0.0.1',
    port: 0,
    perMessageDeflate: true,
    // Of the cases of limits, the largest message has 16 MiB, or 65,536 fragments.
    maxPayload: 67_108_864,
    maxFragments: 0,
    maxBufferedChunks: 0,
  });
  await once(echo, 'listening');
  t.teardown(() => echo.close());
  echo.on('connection', (socket) => {
    socket.on('error', () => {});
    socket.on('message', (data, binary) => socket.send(data, { binary }));
  });
  const { port } = echo.address() as AddressInfo;
  const endpoint = await startIntrospection({ good: { scope: 'read' } });
  t.teardown(() => endpoint.close());
  const rules = apiRule('localhost', [
    {
      path: '/.*',
      methods: ['GET'],
      accessStrategies: [
        {
          handler: 'oauth2_introspection',
          config: { required_scope: ['read'], token_from: { query_parameter: 'token' } },
        },
      ],
    },
  ]);
  const gateway = await startChild(
    t,
    { services: { default: `http://127.0.0.1:${port}` }, introspection: { url: endpoint.url } },
    rules,
  );
  const servers = {
    straight: `ws://127.0.0.1:${port}/`,
    through: `ws://localhost:${gateway.port}/?token=good`,
  };

  const first = await fuzz(t, servers, CASES);
  const [straight, through] = ['straight', 'through'].map(
    (name) => first.get(name) ?? new Map<string, Behavior>(),
  );
  const differing = () => [...(straight ?? [])].filter(([id, behavior]) => through?.get(id) !== behavior);
  for (let again = 0; again < AGAIN && differing().length > 0; again++) {
    const ids = differing().map(([id]) => id);
    t.comment(`once more: ${ids.join(' ')}`);
    const results = await fuzz(t, servers, ids);
    for (const id of ids) {
      straight?.set(id, results.get('straight')?.get(id) ?? '');
      through?.set(id, results.get('through')?.get(id) ?? '');
    }
  }
  for (const [name, results] of Object.entries({ straight, through })) {
    const found = new Map<Behavior, string[]>();
    for (const [id, behavior] of results ?? []) found.set(behavior, [...(found.get(behavior) ?? []), id]);
    t.comment(`${name}: ${results?.size} cases`);
    for (const [behavior, ids] of found) {
      t.comment(`  ${ids.length} ${behavior}${ids.length < 20 ? `: ${ids.join(' ')}` : ''}`);
    }
  }
  t.ok((straight?.size ?? 0) >= (process.env.AUTOBAHN_CASES === undefined ? 300 : 1), 'they have been run');
  t.notOk(
    [...(straight?.values() ?? [])].some((behavior) => behavior.startsWith('FAILED')),
    'the server itself is right',
  );
  for (const [id, behavior] of straight ?? []) t.equal(through?.get(id), behavior, `case ${id}`);
});
