import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { transformSync } from 'esbuild';
import { root } from '../root.js';

/** How a test file ended. */
export type Ending = 'passed' | 'failed' | 'late';

/** One run of a test file. */
export interface TestRun {
  readonly ending: Ending;
  /** Milliseconds it took. */
  readonly ms: number;
  /** The line about the first failure. */
  readonly failure: string | undefined;
}

const TSCONFIG = readFileSync(join(root, 'tsconfig.json'), 'utf8');
/** How much resident memory a test file may take, in bytes: a mutant may fill memory in an endless loop. */
const MAX_RSS = 1_500_000_000;
/** How often its memory is checked, in milliseconds. */
const LOOK = 500;
/** A line of TAP about a failure, at any depth. */
const FAILURE = /^ *(?:not ok (?!.* # (?:TODO|SKIP))|Bail out!).*$/im;

/**
 * A copy of the built program and its tests, in which a mutant takes the place of one module. Everything else of the
 * checkout is linked, and only read.
 */
export class Sandbox {
  readonly #folder = mkdtempSync(join(tmpdir(), 'scopegate-mutants-'));
  /** Where tests put their files. A test that is killed leaves them behind. */
  readonly #temporary = join(this.#folder, 'tmp');
  #running: ChildProcess | undefined;

  constructor() {
    const build = join(this.#folder, 'build');
    mkdirSync(build);
    for (const part of ['src', 'test'])
      cpSync(join(root, 'build', part), join(build, part), { recursive: true });
    for (const name of readdirSync(root)) {
      if (name !== 'build' && name !== '.git') symlinkSync(join(root, name), join(this.#folder, name));
    }
    process.once('exit', () => this.close());
  }

  /**
   * Makes sure that a mutant differs from the built program by its one change only.
   *
   * @param file below `src/`
   * @param text its source
   * @throws if the program was built from another source
   */
  verify(file: string, text: string): void {
    const built = readFileSync(this.#place(file), 'utf8').replace(/\/\/# sourceMappingURL=.*\n?$/, '');
    if (compile(text) !== built)
      throw new Error(`build/src/${file} was built from another source: run npm run build:all`);
  }

  /**
   * Gives a source file another text.
   *
   * @param file below `src/`
   * @throws if it is not TypeScript
   */
  put(file: string, text: string): void {
    writeFileSync(this.#place(file), compile(text));
  }

  /**
   * Runs a test file until it ends or the first of its tests fails.
   *
   * @param test below `build/test/`, without `.test.js`
   * @param limit milliseconds
   */
  async run(test: string, limit: number): Promise<TestRun> {
    rmSync(this.#temporary, { recursive: true, force: true, maxRetries: 3 });
    mkdirSync(this.#temporary);
    const began = performance.now();
    const child = spawn(process.execPath, [join('build/test', `${test}.test.js`)], {
      cwd: this.#folder,
      env: { ...process.env, TAP_BAIL: '1', TAP_TIMEOUT: '600', TMPDIR: this.#temporary },
      stdio: ['ignore', 'pipe', 'pipe'],
      // A process group of its own: what a test starts is killed with it.
      detached: true,
    });
    this.#running = child;
    let late = false;
    let failure: string | undefined;
    let tail = '';
    const overdue = (): void => {
      late = true;
      this.#kill();
    };
    const timer = setTimeout(overdue, limit);
    const watch = setInterval(() => {
      if (residentBytes(child.pid) > MAX_RSS) overdue();
    }, LOOK);
    child.stderr.resume();
    child.stdout.setEncoding('utf8').on('data', (piece: string) => {
      if (failure !== undefined) return;
      const lines = tail + piece;
      const whole = lines.lastIndexOf('\n') + 1;
      failure = FAILURE.exec(lines.slice(0, whole))?.[0].trim();
      tail = lines.slice(whole);
      if (failure !== undefined) this.#kill();
    });
    const [code] = (await once(child, 'close')) as [number | null];
    clearTimeout(timer);
    clearInterval(watch);
    this.#kill();
    this.#running = undefined;
    if (failure === undefined && !late && code !== 0) failure = `exit ${code}`;
    const ending = failure !== undefined ? 'failed' : late ? 'late' : 'passed';
    return { ending, ms: performance.now() - began, failure };
  }

  /** Kills the test that runs, and removes the copy. */
  close(): void {
    this.#kill();
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 3 });
  }

  #place(file: string): string {
    return join(this.#folder, 'build/src', file.replace(/\.ts$/, '.js'));
  }

  /** Kills the process group of the test that runs. */
  #kill(): void {
    const pid = this.#running?.pid;
    if (pid === undefined) return;
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // It has ended by itself.
    }
  }
}

/**
 * Compiles a source file as `.ci/transpile.js` does.
 *
 * @throws if it is not TypeScript
 */
export function compile(text: string): string {
  return transformSync(text, {
    loader: 'ts',
    format: 'esm',
    platform: 'node',
    target: 'node20',
    tsconfigRaw: TSCONFIG,
  }).code;
}

/** Resident memory of a process, in bytes; 0 where that cannot be read. */
function residentBytes(pid: number | undefined): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+([0-9]+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}
