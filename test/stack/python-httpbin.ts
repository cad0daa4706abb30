import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { request } from 'undici';
import type { Listener } from './listener.js';
import { freePort } from './port.js';

/** Debian ships the one or the other name. */
const NAMES = ['gunicorn3', 'gunicorn'];

/** Why the Python HttpBin cannot run here, or undefined where it can. */
export async function pythonHttpbinMissing(): Promise<string | undefined> {
  const gunicorn = find(NAMES);
  if (gunicorn === undefined)
    return 'gunicorn is not installed (Debian: apt-get install gunicorn python3-httpbin)';
  const check = spawn(gunicorn, ['--check-config', 'httpbin:app'], { stdio: 'ignore', cwd: '/' });
  const code = await new Promise((resolve) => check.once('exit', resolve).once('error', () => resolve(-1)));
  return code === 0
    ? undefined
    : 'the Python module httpbin is not installed (Debian: apt-get install python3-httpbin)';
}

/**
 * Starts the real HttpBin: Debian's python3-httpbin under gunicorn, on loopback.
 *
 * @param port 0 takes a free one
 * @throws Error when it is not installed or does not come up
 */
export async function startPythonHttpbin(port = 0): Promise<Omit<Listener, 'reopen'>> {
  const missing = await pythonHttpbinMissing();
  if (missing !== undefined) throw new Error(missing);
  const taken = port === 0 ? await freePort() : port;
  const options = [
    '--bind',
    `127.0.0.1:${taken}`,
    '--worker-class',
    'gthread',
    '--threads',
    '16',
    '--keep-alive',
    '60',
  ];
  const child = spawn(find(NAMES) as string, [...options, 'httpbin:app'], { stdio: 'ignore', cwd: '/' });
  const end = () => child.kill('SIGKILL');
  process.once('exit', end);
  const url = `http://127.0.0.1:${taken}`;
  await alive(child, url);
  return {
    url,
    port: taken,
    async close() {
      process.off('exit', end);
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await gone;
    },
  };
}

async function alive(child: ChildProcess, url: string): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    if (child.exitCode !== null) throw new Error(`gunicorn ended with ${child.exitCode}`);
    try {
      const { statusCode, body } = await request(`${url}/get`);
      await body.dump();
      if (statusCode === 200) return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  child.kill('SIGKILL');
  throw new Error('gunicorn did not answer within ten seconds');
}

function find(names: readonly string[]): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter);
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
