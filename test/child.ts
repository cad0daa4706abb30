import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Scope } from './gateway.js';
import { root } from './root.js';

/** `scopegate serve` as a process of its own. */
export interface Child {
  readonly process: ChildProcess;
  /** The proxy listener's base URL and port. */
  readonly url: string;
  readonly port: number;
  readonly adminUrl: string;
  /** Everything it has written so far, to both outputs. */
  output(): string;
  /** The exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>;
}

/**
 * Starts one and waits until it listens.
 *
 * @param settings the settings file's content; listeners on free ports and the rules are filled in
 * @param rules YAML of the rules
 * @param environment what it sees besides PATH
 * @param flags Node's own options
 * @param node another Node than this one
 */
export async function startChild(
  t: Scope,
  settings: Readonly<Record<string, unknown>>,
  rules: string,
  environment: Readonly<Record<string, string>> = {},
  flags: readonly string[] = [],
  node = process.execPath,
): Promise<Child> {
  const folder = mkdtempSync(join(tmpdir(), 'scopegate-'));
  writeFileSync(join(folder, 'rules.yaml'), rules);
  const file = join(folder, 'settings.yaml');
  // How busy the machine is with other tests is no concern of this one.
  const server = { maxEventLoopDelay: '0s', ...(settings.server as object | undefined) };
  const listen = { proxy: { host: '127.0.0.1', port: 0 }, admin: { host: '127.0.0.1', port: 0 } };
  writeFileSync(file, JSON.stringify({ listen, rules: ['./rules.yaml'], ...settings, server }));
  const command = [...flags, join(root, 'build/src/cli.js'), 'serve', '--config', file];
  const child = spawn(node, command, {
    cwd: folder,
    // Nothing of the test runner's own: its loaders would change what is tested.
    env: { PATH: process.env.PATH, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk;
  });
  child.stderr.on('data', (chunk: Buffer) => {
    output += chunk;
  });
  const ended = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | string);
  t.teardown(async () => {
    child.kill('SIGKILL');
    await ended;
    rmSync(folder, { recursive: true });
  });
  const listening = await Promise.race([
    new Promise<Record<string, string>>((resolve) => {
      child.stdout.on('data', () => {
        const line = output.split('\n').find((text) => text.includes('"msg":"listening"'));
        if (line !== undefined) resolve(JSON.parse(line) as Record<string, string>);
      });
    }),
    ended.then((code) => {
      throw new Error(`serve ended with ${code}: ${output}`);
    }),
  ]);
  const { proxy = '', admin = '' } = listening;
  return {
    process: child,
    url: proxy,
    port: Number(new URL(proxy).port),
    adminUrl: admin,
    output: () => output,
    ended,
  };
}
