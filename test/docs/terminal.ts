import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Test } from 'tap';
import type { Page } from './page.js';

/** A shell that stays open, as the one that a reader pastes commands into: what one sets, the next one has. */
export class Terminal {
  readonly #shell: ChildProcess;
  #output = '';
  #arrived: () => void = () => {};
  #count = 0;

  constructor(cwd: string, environment: NodeJS.ProcessEnv) {
    const { NODE_OPTIONS: _, ...env } = { ...process.env, ...environment };
    // A group of its own, so that what it leaves in the background can be ended with it.
    this.#shell = spawn('sh', [], { cwd, env, stdio: ['pipe', 'pipe', 'inherit'], detached: true });
    this.#shell.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text;
      this.#arrived();
    });
    this.#shell.once('exit', () => this.#arrived());
    this.#shell.stdin?.write('exec 2>&1\n');
  }

  /** Runs a command. @returns what it printed, on either stream, and its code */
  async run(command: string): Promise<{ code: number; output: string }> {
    const mark = `--- ${++this.#count} ended with`;
    this.#shell.stdin?.write(`${command}\ncode_of_it=$?; echo; echo "${mark} $code_of_it"\n`);
    for (;;) {
      const end = new RegExp(`\\n${mark} (\\d+)\\n`).exec(this.#output);
      if (end !== null) {
        const output = this.#output.slice(0, end.index);
        this.#output = this.#output.slice(end.index + end[0].length);
        return { code: Number(end[1]), output: output.replaceAll('\r', '').trim() };
      }
      if (this.#shell.exitCode !== null) throw new Error(`the shell is gone: ${this.#output}`);
      await new Promise<void>((resolve) => {
        this.#arrived = resolve;
      });
    }
  }

  /** Ends the shell, and what it left in the background. */
  async close(): Promise<void> {
    if (this.#shell.exitCode !== null) return;
    const ended = once(this.#shell, 'exit');
    process.kill(-(this.#shell.pid ?? 0), 'SIGTERM');
    await ended;
  }
}

/**
 * Whether what a command printed is what a page shows. In what is shown, `…` stands for anything on its line, and for any
 * number of lines where it stands alone.
 */
export function printsAs(shown: string, printed: string): boolean {
  const escaped = shown
    .trim()
    .split('\n')
    .map((line) =>
      line.trim() === '…' ? null : line.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll('…', '.*'),
    );
  let pattern = '';
  for (const [index, line] of escaped.entries()) {
    if (line === null) pattern += '(?:.*\\n)*?';
    else pattern += `${line}${index === escaped.length - 1 ? '' : '\\n'}`;
  }
  return new RegExp(`^${pattern}$`).test(escaped.at(-1) === null ? `${printed}\n` : printed);
}

/**
 * Goes through a page as a reader does: pastes each block of commands that has the marker into one shell, and looks at
 * what the block of text below it says is printed.
 *
 * @param edit what a test has to change in a command and in what it prints, because its machine is not the reader's
 * @returns how many commands were run
 */
export async function walk(
  t: Test,
  page: Page,
  marker: string,
  terminal: Terminal,
  edit: (command: string) => string = (command) => command,
): Promise<number> {
  let count = 0;
  for (const [index, block] of page.blocks.entries()) {
    if (block.language !== 'sh' || block.info !== marker) continue;
    const where = `${page.path}:${block.line}`;
    const { code, output } = await terminal.run(edit(block.text));
    t.equal(code, 0, `${where}: ${block.text}`, { output });
    count++;
    const next = page.blocks[index + 1];
    if (next?.language !== 'text') continue;
    const shown = edit(next.text);
    t.ok(printsAs(shown, output), `${where} prints what the page shows`, { shown, output });
  }
  return count;
}
