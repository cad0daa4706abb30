import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { root } from '../root.js';
import { until } from '../until.js';
import { freePort } from './port.js';

const PROGRAM = join(root, 'build/test/stack/hydra/main.js');

function start(
  t: Test,
  words: readonly string[],
  environment: Readonly<Record<string, string>>,
): ChildProcess {
  const local = { SERVE_PUBLIC_HOST: '127.0.0.1', SERVE_ADMIN_HOST: '127.0.0.1' };
  const child = spawn(process.execPath, [PROGRAM, ...words], {
    env: { PATH: process.env.PATH, ...local, ...environment },
    stdio: 'ignore',
  });
  t.teardown(() => child.kill('SIGKILL'));
  return child;
}

const codeOf = async (child: ChildProcess) => ((await once(child, 'exit')) as [number | null])[0];

/** Says what a PostgreSQL says to a client that asks for TLS: that it has none. */
async function startDatabase(t: Test) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).once('data', () => socket.end('N'));
  });
  const listen = async (port: number) => {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
  };
  await listen(0);
  const { port } = server.address() as AddressInfo;
  const stop = async () => {
    for (const socket of sockets) socket.destroy();
    if (server.listening) await new Promise((resolve) => server.close(resolve));
  };
  t.teardown(stop);
  return {
    dsn: `postgres://hydra:secret@127.0.0.1:${port}/hydra?sslmode=disable`,
    stop,
    back: () => listen(port),
  };
}

t.test('migrate sql up ends with 0 where the database answers, and with 1 where it does not', async (t) => {
  const database = await startDatabase(t);
  const migrate = () => codeOf(start(t, ['migrate', 'sql', 'up', '-e', '--yes'], { DSN: database.dsn }));
  t.equal(await migrate(), 0);
  await database.stop();
  t.equal(await migrate(), 1);
});

t.test('serve all is ready while the database answers, and ends at SIGTERM', async (t) => {
  const database = await startDatabase(t);
  const [publicPort, adminPort] = [await freePort(), await freePort()];
  const child = start(t, ['serve', 'all', '--dev'], {
    DSN: database.dsn,
    SERVE_PUBLIC_PORT: String(publicPort),
    SERVE_ADMIN_PORT: String(adminPort),
    URLS_SELF_ISSUER: 'http://issuer.example',
  });
  const ready = async () =>
    (await fetch(`http://127.0.0.1:${adminPort}/health/ready`).catch(() => undefined))?.status;
  await until(async () => (await ready()) === 200);
  const metadata = await fetch(`http://127.0.0.1:${publicPort}/.well-known/openid-configuration`);
  t.match(await metadata.json(), { issuer: 'http://issuer.example' });
  await database.stop();
  await until(async () => (await ready()) === 503);
  await database.back();
  await until(async () => (await ready()) === 200);
  child.kill('SIGTERM');
  t.equal(await codeOf(child), 0);
});

t.test('another command line is refused', async (t) => {
  t.equal(await codeOf(start(t, ['serve', 'admin'], {})), 2);
});

t.test('a port that is taken is said in one line, without a stack trace', async (t) => {
  const { server, port } = await takenPort(t);
  const child = spawn(process.execPath, [PROGRAM, 'serve', 'all'], {
    env: {
      PATH: process.env.PATH,
      SERVE_PUBLIC_HOST: '127.0.0.1',
      SERVE_ADMIN_HOST: '127.0.0.1',
      SERVE_PUBLIC_PORT: `${port}`,
      SERVE_ADMIN_PORT: '0',
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  server.close();
  t.equal(code, 1);
  t.match(said, new RegExp(`^.*127\\.0\\.0\\.1:${port}: the port is taken\\. .*\\n$`));
});

async function takenPort(t: Test) {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return { server, port: (server.address() as AddressInfo).port };
}
