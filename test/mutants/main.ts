import { constants, setPriority } from 'node:os';
import { parseArgs } from 'node:util';
import { campaign, type FileResult, staleExplanations } from './campaign.js';
import { writePage } from './page.js';
import { pick } from './pick.js';

// `npm run test:mutants`, see docs/mutants.md.

const { values } = parseArgs({
  options: {
    sample: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    list: { type: 'boolean', default: false },
    resume: { type: 'boolean', default: false },
    jobs: { type: 'string', default: '1' },
    write: { type: 'boolean', default: false },
  },
});
const { sample, only, resume, write } = values;

/** Prints the mutants. */
function list(): void {
  for (const { file, all, mutants } of pick(sample)) {
    if (!file.startsWith(only)) continue;
    console.log(`${file}: ${mutants.length} of ${all.length}`);
    for (const { line, id } of mutants) console.log(`  ${line} ${id}`);
  }
}

/** Prints a result. @returns whether every survivor is explained, and every explanation is of a survivor */
function report(results: readonly FileResult[], seconds: number): boolean {
  const sum = (of: (result: FileResult) => number): number => results.reduce((n, each) => n + of(each), 0);
  for (const { file, killed, tried, explained, survived, refuted } of results) {
    console.log(`${file}: ${killed} of ${tried} killed, ${explained.length} explained`);
    for (const { line, id } of survived) console.log(`  survived: line ${line}, ${id}`);
    for (const { line, id } of refuted) console.log(`  explained, but killed: line ${line}, ${id}`);
  }
  const stale = sample ? [] : staleExplanations(only);
  for (const id of stale) console.log(`explained, but does not exist: ${id}`);
  const [tried, killed, explained] = [
    sum((r) => r.tried),
    sum((r) => r.killed),
    sum((r) => r.explained.length),
  ];
  console.log(`\n${killed} of ${tried} mutants killed, ${explained} explained, in ${seconds.toFixed(0)} s`);
  return killed + explained === tried && sum((r) => r.refuted.length) + stale.length === 0;
}

if (values.list) {
  list();
} else if (write && (sample || only !== '')) {
  console.error('--write needs a run over all mutants: leave out --sample and --only');
  process.exitCode = 2;
} else {
  setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
  // The sandboxes are removed when the process exits, which a signal alone would not make it do.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1));
  const began = performance.now();
  const results = await campaign({
    sample,
    only,
    resume,
    jobs: Number(values.jobs),
    onJudged: ({ id, line }, { verdict, by = '', failure = '' }) =>
      console.log(`${verdict} ${line} ${id} ${by === '' ? '' : `(${by}: ${failure.slice(0, 100)})`}`),
  });
  process.exitCode = report(results, (performance.now() - began) / 1000) ? 0 : 1;
  if (write) writePage(results);
}
