import { statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { relative, resolve } from 'node:path';
import { PassThrough } from 'node:stream';
import { parseArgs } from 'node:util';
import t from 'tap';
import { filesOf } from './image/files.js';
import { RARE_MISSING, required } from './require.js';
import { root } from './root.js';
import { quickFiles, slowFiles } from './suites/suites.js';
import { closingLines, summarize } from './summary.js';

// `npm test`: runs test files, some at a time, and says last what failed and what this machine lacks, which would otherwise
// stand thousands of lines before the end.
//
//     node build/test/run.js [--jobs=N] [--timeout=SECONDS] [--reporter=tap|files] [--slow | FILE | FOLDER …]

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    /** How many files run at a time. Many of them wait most of their time, so there are more than processors. */
    jobs: { type: 'string', short: 'j', default: String(Math.ceil(availableParallelism() * 1.5)) },
    /** Seconds that a file may take. */
    timeout: { type: 'string', short: 't', default: '300' },
    /** `tap` prints all of the output, `files` a line for each file. */
    reporter: { type: 'string', short: 'R', default: process.stdout.isTTY ? 'files' : 'tap' },
    /** Runs the slow checks. */
    slow: { type: 'boolean', default: false },
  },
});
const [jobs, timeout] = [Number(values.jobs), Number(values.timeout)];
if (!(jobs >= 1) || !(timeout > 0)) throw new Error('--jobs and --timeout take a number');
if (!['tap', 'files'].includes(values.reporter)) throw new Error('--reporter takes "tap" or "files"');

const chosen = positionals.flatMap((path) =>
  statSync(path).isDirectory() ? filesOf(path).filter((name) => name.endsWith('.test.js')) : [path],
);
const files = positionals.length > 0 ? chosen : values.slow ? slowFiles() : quickFiles();

const output = new PassThrough();
const summarized = summarize(
  output,
  new Promise((end) => output.once('end', () => end(t.passing() ? 0 : 1))),
);
// Whoever reads the output may have enough of it.
process.stdout.on('error', () => {});
t.pipe(output);
if (values.reporter === 'tap') t.pipe(process.stdout);
else t.register();
// How long all of them may take is not said; each has a limit of its own.
t.setTimeout(0);
t.jobs = jobs;
// The tests that run are ended, and count as failures.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => t.endAll());
const begun = new Map<string, number>();
t.on('spawn', (subtest) => begun.set(subtest.name, performance.now()));
t.plan(files.length);
for (const file of files) {
  const name = relative(root, resolve(file));
  // A plain process. tap would have each Node that a test starts load hooks, which note what files it loads: those would be
  // part of what is tested, and take a fifth of the time.
  const command = ['-u', 'NODE_OPTIONS', process.execPath, '--enable-source-maps', file];
  const ended = t.spawn('/usr/bin/env', command, {
    name,
    cwd: root,
    buffered: jobs > 1,
    timeout: timeout * 1_000,
    stdio: 'inherit',
    at: null,
    stack: '',
    env: { ...process.env, TAP_TIMEOUT: values.timeout },
  });
  if (values.reporter === 'files')
    void ended.then((results) => {
      const seconds = ((performance.now() - (begun.get(name) ?? 0)) / 1_000).toFixed(1);
      console.log(`${results?.ok ? 'ok    ' : 'not ok'} ${seconds.padStart(6)} s  ${name}`);
    });
}

const summary = await summarized;
const lacking = [...summary.skipped.keys()].filter((reason) => !RARE_MISSING.includes(reason));
const complete = lacking.length === 0 || !required('all');
console.log(closingLines(summary, complete).join('\n'));
process.exitCode = summary.failures.length === 0 && complete ? 0 : 1;
