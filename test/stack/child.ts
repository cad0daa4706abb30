import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';

const MAIN = fileURLToPath(new URL('./main.js', import.meta.url));

/** The options that make `npm start` take free ports. */
export const FREE = [
  '--port=0',
  '--admin-port=0',
  '--hydra-port=0',
  '--hydra-admin-port=0',
  '--httpbin-port=0',
  '--function-port=0',
];

/** A started `npm start`, without npm. */
export interface Started {
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly errors: () => string;
  /** Resolves with the output once the commands are printed; rejects when the process ends first. */
  readonly ready: Promise<string>;
  readonly exit: Promise<number | string | null>;
}

/** Starts `main.js` as a process of its own, which does not outlive the test. */
export function start(t: Test, args: readonly string[], environment: Record<string, string> = {}): Started {
  const child = spawn(process.execPath, [MAIN, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, ...environment },
  });
  t.teardown(() => child.kill('SIGKILL'));
  let [output, errors] = ['', ''];
  const exit = new Promise<number | string | null>((resolve) => {
    child.once('close', (code, signal) => resolve(signal ?? code));
  });
  const ready = new Promise<string>((resolve, reject) => {
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      if (output.includes('Ctrl-C ends everything')) resolve(output);
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      errors += text;
    });
    void exit.then((code) => reject(new Error(`ended with ${code}: ${errors}`)));
  });
  ready.catch(() => {});
  return { child, output: () => output, errors: () => errors, ready, exit };
}
