import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Scope } from '../gateway.js';
import { root } from '../root.js';

/** A command that runs on, as a process of its own. */
export interface RunningCommand {
  /** Everything it has written so far. */
  readonly out: string;
  readonly err: string;
  kill(signal: NodeJS.Signals): void;
  /** The exit code, or the signal that ended it. */
  readonly code: Promise<number | string>;
}

/** Starts `scopegate` with these arguments; it ends with the test. */
export function startCommand(t: Scope, args: readonly string[]): RunningCommand {
  const child = spawn(process.execPath, [join(root, 'build/src/cli.js'), ...args], {
    env: { PATH: process.env.PATH },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const written = { out: '', err: '' };
  child.stdout.on('data', (chunk: Buffer) => {
    written.out += chunk;
  });
  child.stderr.on('data', (chunk: Buffer) => {
    written.err += chunk;
  });
  const code = once(child, 'close').then(([status, signal]) => (status ?? signal) as number | string);
  t.teardown(async () => {
    child.kill('SIGKILL');
    await code;
  });
  return {
    get out() {
      return written.out;
    },
    get err() {
      return written.err;
    },
    kill: (signal) => child.kill(signal),
    code,
  };
}
