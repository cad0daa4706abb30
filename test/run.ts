import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { required } from './require.js';
import { root } from './root.js';
import { closingLines, summarize } from './summary.js';

// `npm test`: runs tap, and says last what failed and what this machine lacks, which would otherwise stand thousands of
// lines before the end. Arguments are tap's.

const place = mkdtempSync(join(tmpdir(), 'scopegate-tap-'));
const output = join(place, 'run.tap');
try {
  const tap = join(root, 'node_modules/.bin/tap');
  const child = spawn(tap, ['run', `--output-file=${output}`, ...process.argv.slice(2)], {
    cwd: root,
    stdio: 'inherit',
  });
  // Ctrl+C goes to tap as well, which ends its tests; this process stays for the summary.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  let ok = code === 0;
  // There is none where tap did not come to run anything, for want of a file that its arguments name.
  if (existsSync(output)) {
    const summary = await summarize(createReadStream(output), signal ?? code);
    const complete = summary.skipped.size === 0 || !required('all');
    ok &&= summary.failures.length === 0 && complete;
    console.log(closingLines(summary, complete).join('\n'));
  }
  process.exitCode = ok ? 0 : code || 1;
} finally {
  rmSync(place, { recursive: true, force: true });
}
