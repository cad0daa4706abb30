import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Test } from 'tap';
import { Pool } from 'undici';
import { canonicalTarget } from '../../src/parse/target.js';
import { startTestGateway } from '../gateway.js';
import { available } from '../require.js';
import { startPythonHttpbin } from '../stack/python-httpbin.js';
import { vectors } from '../vectors.js';
import { startNginx } from './nginx.js';
import { makePath } from './paths.js';
import { Random } from './random.js';

/** A real server behind the gateway, and what it says of the path it was asked for. */
interface Server {
  readonly name: string;
  readonly url: string;
  /** What the path must begin with for the server to tell. */
  readonly prefix: string;
  /** The path as the server resolved it, decoded; undefined where its answer does not tell. */
  read(body: string): string | undefined;
}

const CONNECTIONS = 24;

/**
 * Asks real servers behind the gateway for every accepted path of the vectors and for generated ones, and compares the
 * path that each says it resolved with the one that was matched.
 *
 * @param counts generated paths that are to be accepted, by the name of the server
 */
export async function compare(
  t: Test,
  counts: Readonly<Record<string, number>>,
  seed: number,
): Promise<void> {
  const servers = [await nginx(t), await httpbin(t), await node(t)].filter((server) => server !== undefined);
  const gate = await startTestGateway(t, {
    rules: servers.map(({ name }) => ruleOf(name)).join('\n---\n'),
    settings: {
      services: Object.fromEntries(servers.map(({ name, url }) => [name, url])),
      log: { audit: false },
    },
  });
  for (const server of servers) {
    await t.test(`${server.name} resolves the path that was matched`, { timeout: 1_400_000 }, async (t) => {
      const pool = new Pool(gate.url, { connections: CONNECTIONS, pipelining: 1 });
      t.teardown(() => pool.destroy());
      const random = new Random(seed);
      const wanted = counts[server.name] ?? 0;
      const queue = pathVectors();
      const fromVectors = queue.length;
      let accepted = 0;
      let told = 0;
      let generated = 0;
      let wrong = 0;
      const started = performance.now();
      async function work(): Promise<void> {
        while (wrong < 20 && (queue.length > 0 || accepted < wanted)) {
          let raw = queue.pop();
          if (raw === undefined) {
            generated++;
            raw = makePath(random);
          }
          const asked = server.prefix + raw;
          const target = canonicalTarget(asked, `${server.name}.example`);
          if ('refused' in target || target.marks !== 0) continue;
          // A path that has left the prefix is one that the server does not tell of.
          if (server.prefix !== '' && !target.path.startsWith(`${server.prefix}/`)) continue;
          if (server.prefix !== '' && target.path === `${server.prefix}/`) continue;
          accepted++;
          const { statusCode, body } = await pool.request({
            method: 'GET',
            path: asked,
            headers: { host: `${server.name}.example` },
          });
          const text = await body.text();
          if (statusCode !== 200) {
            // One of its readings leads to the other rule.
            if (statusCode === 400 && target.escaped) continue;
            wrong++;
            t.fail(`${asked} is answered ${statusCode}`);
            continue;
          }
          const resolved = server.read(text);
          if (resolved === undefined) continue;
          told++;
          const matched = decodeURIComponent(target.path);
          if (resolved !== matched) {
            wrong++;
            t.fail(`${asked}, matched and sent as ${target.path}, is ${resolved}`);
          }
        }
      }
      await Promise.all(Array.from({ length: CONNECTIONS }, work));
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      t.comment(
        `${server.name}: seed ${seed}, ${fromVectors} targets of the vectors and ${generated} generated, ${accepted} accepted, ${told} compared, ${wrong} different, ${seconds} s`,
      );
      t.ok(told > accepted * 0.8, `${told} of ${accepted} compared`);
      t.ok(accepted >= wanted);
    });
  }
}

function ruleOf(name: string): string {
  return JSON.stringify({
    apiVersion: 'gateway.kyma-project.io/v1beta1',
    kind: 'APIRule',
    metadata: { name, namespace: 'default' },
    spec: {
      gateway: 'default/gate',
      host: `${name}.example`,
      service: { name, port: 80 },
      rules: [
        { path: '/.*', methods: ['GET'], accessStrategies: [{ handler: 'allow' }] },
        { path: '/admin(/.*)?', methods: ['GET'], accessStrategies: [{ handler: 'allow' }] },
      ],
    },
  });
}

/** The vectors' paths, without their queries. */
function pathVectors(): string[] {
  const { cases } = vectors<{ cases: { target_b64: string; must: string }[] }>('paths');
  return cases
    .map(({ target_b64 }) => Buffer.from(target_b64, 'base64').toString('latin1').split('?')[0] as string)
    .filter((path) => path.startsWith('/'));
}

async function nginx(t: Test): Promise<Server | undefined> {
  if (!available(t, 'nginx')) return undefined;
  const server = await startNginx();
  t.teardown(() => server.close());
  return {
    name: 'nginx',
    url: server.url,
    prefix: '',
    read: (body) => {
      const [location, path = ''] = body.split(/ (.*)/s);
      // The location it chose must be the rule's as well.
      return (location === 'admin') === /^\/admin(?:\/.*)?$/s.test(path) ? path : `${location} for ${path}`;
    },
  };
}

async function httpbin(t: Test): Promise<Server | undefined> {
  if (!available(t, 'httpbin')) return undefined;
  const server = await startPythonHttpbin();
  t.teardown(() => server.close());
  return {
    name: 'httpbin',
    url: server.url,
    prefix: '/anything',
    read: (body) => {
      const { url } = JSON.parse(body) as { url?: string };
      return url === undefined ? undefined : decodeURIComponent(url.replace(/^https?:\/\/[^/]*/, ''));
    },
  };
}

async function node(t: Test): Promise<Server> {
  const server = createServer((message, response) => {
    response.end(new URL(message.url ?? '', 'http://node.example').pathname);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return {
    name: 'node',
    url: `http://127.0.0.1:${port}`,
    prefix: '',
    read: (body) => decodeURIComponent(body),
  };
}
