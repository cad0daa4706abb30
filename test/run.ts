import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { RARE_MISSING, required } from './require.js';
import { root } from './root.js';
import { closingLines, type Summary, summarize } from './summary.js';

// `npm test`: runs tap, and says last what failed and what this machine lacks, which would otherwise stand thousands of
// lines before the end. Arguments are tap's.

/** What became of tap: its exit code, or the signal that ended it. */
type Ended = number | NodeJS.Signals | null;

/** Starts tap, which gets the signals that end this process; this process stays for the summary. */
function start(parameters: readonly string[], stdout: 'inherit' | 'pipe') {
  const child = spawn(join(root, 'node_modules/.bin/tap'), ['run', ...parameters, ...process.argv.slice(2)], {
    cwd: root,
    stdio: ['inherit', stdout, 'inherit'],
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
  return child;
}

async function endOf(child: ChildProcess): Promise<Ended> {
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  return signal ?? code;
}

/** Shows what tap prints, in its own format, and reads along. */
async function runRaw(): Promise<[Ended, Summary]> {
  const child = start(['--reporter=tap'], 'pipe');
  const ended = endOf(child);
  // Whoever reads the output may have enough of it.
  process.stdout.on('error', () => {});
  child.stdout?.pipe(process.stdout, { end: false });
  const copy = new PassThrough();
  child.stdout?.pipe(copy);
  // Read while it comes: what nobody reads would hold tap up.
  const summary = summarize(copy, ended);
  return [await ended, await summary];
}

/** Lets a reporter for people have the output. tap writes the raw one to a file, which it cannot do beside the raw reporter. */
async function runPretty(reporter: readonly string[]): Promise<[Ended, Summary | undefined]> {
  const place = mkdtempSync(join(tmpdir(), 'scopegate-tap-'));
  try {
    const output = join(place, 'run.tap');
    const ended = await endOf(start([...reporter, `--output-file=${output}`], 'inherit'));
    // There is none where tap did not come to run anything, for want of a file that its arguments name.
    return [ended, existsSync(output) ? await summarize(createReadStream(output), ended) : undefined];
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

const chosen = process.argv
  .slice(2)
  .map((argument) => /^(?:-R|--reporter=)(.+)$/.exec(argument)?.[1])
  .find((reporter) => reporter !== undefined);
const raw = chosen === undefined ? process.stdout.isTTY !== true : chosen === 'tap';
const [ended, summary] = raw
  ? await runRaw()
  : await runPretty(chosen === undefined ? ['--reporter=base'] : []);
let ok = ended === 0;
if (summary !== undefined) {
  const lacking = [...summary.skipped.keys()].filter((reason) => !RARE_MISSING.includes(reason));
  const complete = lacking.length === 0 || !required('all');
  ok &&= summary.failures.length === 0 && complete;
  console.log(closingLines(summary, complete).join('\n'));
}
process.exitCode = ok ? 0 : 1;
