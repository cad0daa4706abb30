import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { connect } from 'node:net';
import { createInterface, type Interface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';

/** A child process with a line protocol on its standard streams. */
export interface Child {
  readonly pid: number;
  /** Writes a line, unless it is undefined, and waits for the next one. */
  ask(line?: string): Promise<string>;
  stop(): Promise<void>;
  /** Resolves when it has ended, however it came to that. */
  readonly ended: Promise<void>;
}

const pins = spawnSync('taskset', ['-c', '0', 'true']).status === 0;

/**
 * Starts a process, on one core where `taskset` exists.
 *
 * @param core 0 for what is measured, 1 for what measures
 * @param log a file for its standard output and errors, so that nobody spends time on reading it
 * @param environment variables beside those of this process
 */
export function start(
  core: 0 | 1,
  command: string,
  args: readonly string[],
  log?: string,
  environment: Readonly<Record<string, string>> = {},
): Child {
  const [program, parameters] = pins
    ? ['taskset', ['-c', String(core), command, ...args]]
    : [command, [...args]];
  const file = log === undefined ? undefined : openSync(log, 'a');
  const child: ChildProcess = spawn(program as string, parameters as string[], {
    stdio: file === undefined ? ['pipe', 'pipe', 'inherit'] : ['pipe', file, file],
    env: { ...process.env, ...environment },
  });
  const ended = once(child, 'exit').then(() => {});
  const lines: Interface | undefined =
    child.stdout === null ? undefined : createInterface({ input: child.stdout });
  const waiting: ((line: string) => void)[] = [];
  const arrived: string[] = [];
  lines?.on('line', (line) => {
    const next = waiting.shift();
    if (next === undefined) {
      // Nobody asked: a log line. One is kept, for whoever asks for the first.
      if (arrived.length === 0) arrived.push(line);
    } else next(line);
  });
  return {
    pid: child.pid as number,
    ended,
    ask(line) {
      if (line !== undefined) {
        arrived.length = 0;
        child.stdin?.write(`${line}\n`);
      }
      const early = arrived.shift();
      return early === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(early);
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGTERM');
      const late = setTimeout(() => child.kill('SIGKILL'), 5_000);
      await ended;
      clearTimeout(late);
    },
  };
}

/** Seconds within which a program must listen, unless it is known to need longer. */
const PATIENCE = 20;

/**
 * Waits until something listens on a loopback port.
 *
 * @param patience seconds
 * @throws Error if nothing does
 */
export async function listening(port: number, patience = PATIENCE): Promise<void> {
  for (const late = performance.now() + patience * 1000; performance.now() < late; ) {
    const socket = connect(port, '127.0.0.1');
    const up = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    socket.destroy();
    if (up) return;
    await wait(5);
  }
  throw new Error(`nothing listens on port ${port}`);
}
