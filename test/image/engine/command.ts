import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** What a command left. */
export interface Done {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** How to run a command. */
export interface Running {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** What it reads. */
  readonly input?: string;
  /** Milliseconds until it is ended; default ten minutes. */
  readonly patience?: number;
}

/** Runs a command to its end, whatever that is. The hooks that tap puts into Node processes are not handed on. */
export async function run(
  program: string,
  parameters: readonly string[],
  options: Running = {},
): Promise<Done> {
  const { NODE_OPTIONS: _, ...env } = { ...process.env, ...options.env };
  const child = spawn(program, parameters, {
    cwd: options.cwd,
    env,
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    timeout: options.patience ?? 600_000,
  });
  let [stdout, stderr] = ['', ''];
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  child.stdin?.end(options.input);
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}

/** Runs a command that must end with 0. @throws with what it said, where it does not */
export async function mustRun(
  program: string,
  parameters: readonly string[],
  options: Running = {},
): Promise<string> {
  const { code, stdout, stderr } = await run(program, parameters, options);
  if (code === 0) return stdout;
  const said = `${stdout}\n${stderr}`.trim().slice(-2000);
  throw new Error(`${program} ${parameters.slice(0, 6).join(' ')}… ended with ${code}:\n${said}`);
}
