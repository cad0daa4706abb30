import { setTimeout as pause } from 'node:timers/promises';
import { start } from '../authorization-server.js';
import { PortTaken } from '../listener.js';
import { answers } from './database.js';

// The local authorization server as a program, with the command line and the variables of Hydra that docker-compose.yml
// uses, so that it can stand for Hydra's image where that cannot be had:
//
//   serve all [--dev]               until SIGTERM
//   migrate sql up [-e] [--yes]     asks the database whether it is there
//
//   DSN, URLS_SELF_ISSUER, SERVE_PUBLIC_HOST, SERVE_PUBLIC_PORT, SERVE_ADMIN_HOST, SERVE_ADMIN_PORT

/** Between two looks at the database, and until it counts as gone, in milliseconds. */
const LOOK = 250;
const PATIENCE = 10_000;

/** One line of the log: JSON, as Hydra writes it. */
function log(level: 'info' | 'warning' | 'error', msg: string, more: Readonly<Record<string, unknown>> = {}) {
  process.stdout.write(`${JSON.stringify({ time: new Date().toISOString(), level, msg, ...more })}\n`);
}

async function migrate(dsn: string): Promise<number> {
  if (await answers(dsn)) {
    log('info', 'Successfully applied migrations');
    return 0;
  }
  log('error', 'An error occurred while connecting to SQL: the database does not answer');
  return 1;
}

async function serve(dsn: string, environment: NodeJS.ProcessEnv): Promise<number> {
  const {
    SERVE_PUBLIC_HOST,
    SERVE_PUBLIC_PORT = '4444',
    SERVE_ADMIN_HOST,
    SERVE_ADMIN_PORT = '4445',
  } = environment;
  if ((SERVE_PUBLIC_HOST ?? '') !== (SERVE_ADMIN_HOST ?? '')) {
    log('error', 'SERVE_PUBLIC_HOST and SERVE_ADMIN_HOST must be the same here');
    return 1;
  }
  const issuer = environment.URLS_SELF_ISSUER;
  const server = await start({
    host: SERVE_PUBLIC_HOST ?? '0.0.0.0',
    publicPort: Number(SERVE_PUBLIC_PORT),
    adminPort: Number(SERVE_ADMIN_PORT),
    how: { public: 'Set SERVE_PUBLIC_PORT to another one.', admin: 'Set SERVE_ADMIN_PORT to another one.' },
    ...(issuer === undefined ? {} : { issuer }),
  });
  log('info', 'Setting up http server', { public: server.publicUrl, admin: server.adminUrl });
  const ended = new AbortController();
  const watching = (async () => {
    while (!ended.signal.aborted) {
      server.setDatabase((await answers(dsn, PATIENCE)) ? 'up' : 'down');
      await pause(LOOK, undefined, { signal: ended.signal }).catch(() => {});
    }
  })();
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
  });
  ended.abort();
  await Promise.all([watching, server.close()]);
  log('info', 'ended');
  return 0;
}

const words = process.argv.slice(2).filter((word) => !word.startsWith('-'));
const dsn = process.env.DSN ?? 'memory';
if (words.join(' ') === 'serve all') {
  process.exitCode = await serve(dsn, process.env).catch((error: unknown) => {
    if (!(error instanceof PortTaken)) throw error;
    process.stderr.write(`${error.message}\n`);
    return 1;
  });
} else if (words.join(' ') === 'migrate sql up') process.exitCode = await migrate(dsn);
else {
  process.stderr.write('usage: serve all [--dev] | migrate sql up [-e] [--yes]\n');
  process.exitCode = 2;
}
