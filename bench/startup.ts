import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { median, row } from './report.js';

/** What one start has taken until `/health/ready` answered with 200, in milliseconds. */
export interface Start {
  /** User and system time of all threads. */
  readonly cpu: number;
  readonly wall: number;
}

const place = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
/** The tutorial's rules. */
const SETTINGS = place('../../config/folder.yaml');

/** What is started: as published, as the compiler leaves it, and Node with nothing to do. */
const PROGRAMS: Readonly<Record<string, readonly string[]>> = {
  'as published': [place('../bundle/cli.js'), 'serve', '--config', SETTINGS],
  'one file a module': [place('../src/cli.js'), 'serve', '--config', SETTINGS],
  'Node alone': ['--eval', 'console.log("{}");setInterval(() => {}, 1000)'],
};

/** Starts each program in turn, round by round; the first round does not count. */
export async function measureStarts(rounds: number): Promise<Map<string, Start[]>> {
  const starts = new Map<string, Start[]>(Object.keys(PROGRAMS).map((name) => [name, []]));
  for (let round = -1; round < rounds; round++) {
    for (const [name, args] of Object.entries(PROGRAMS)) {
      const start = await startOnce(args);
      if (round >= 0) starts.get(name)?.push(start);
    }
  }
  return starts;
}

async function startOnce(args: readonly string[]): Promise<Start> {
  const since = performance.now();
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      PATH: process.env.PATH,
      SCOPEGATE_LISTEN_PROXY_PORT: '0',
      SCOPEGATE_LISTEN_ADMIN_PORT: '0',
    },
  });
  const ended = once(child, 'exit');
  try {
    const line = createInterface({ input: child.stdout })[Symbol.asyncIterator]().next();
    const told = await Promise.race([line, ended.then(() => Promise.reject(new Error('it did not start')))]);
    const { admin } = JSON.parse(String(told.value)) as { admin?: string };
    if (admin !== undefined) {
      const { status } = await fetch(`${admin}/health/ready`);
      if (status !== 200) throw new Error(`not ready: ${status}`);
    }
    return { wall: performance.now() - since, cpu: cpuOf(child) };
  } finally {
    child.kill('SIGKILL');
    await ended;
  }
}

/** What the threads of a process have used, in milliseconds; the scheduler counts nanoseconds. */
function cpuOf({ pid }: ChildProcess): number {
  const tasks = `/proc/${pid}/task`;
  const nanoseconds = readdirSync(tasks).map(
    (task) => readFileSync(`${tasks}/${task}/schedstat`, 'utf8').split(' ')[0],
  );
  return nanoseconds.reduce((total, each) => total + Number(each), 0) / 1e6;
}

/** Medians with their spread. */
export function startTable(starts: ReadonlyMap<string, readonly Start[]>): string {
  const lines = [
    '',
    'until ready, with the tutorial’s rules',
    row('', 'CPU ms', 'min–max', 'wall ms', 'min–max'),
  ];
  for (const [name, samples] of starts) {
    const cells = (['cpu', 'wall'] as const).flatMap((key) => {
      const values = samples.map((sample) => sample[key]);
      return [
        median(values).toFixed(0),
        `${Math.min(...values).toFixed(0)}–${Math.max(...values).toFixed(0)}`,
      ];
    });
    lines.push(row(name, ...cells));
  }
  return lines.join('\n');
}
