/**
 * `npm run bench:page`: adds build/bench/results.json, if there is one, to docs/performance.json, and makes the tables of
 * docs/performance.md and docs/operations.md, and docs/performance.svg, from that. What the run did not measure stays as it is. It builds nothing, because a build
 * removes the results.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../test/root.js';
import { chartOfHits } from './chart.js';
import { blocksOf, renewed } from './page.js';
import { merged, type ResultsFile, type Summary, summaryOf } from './summary.js';

const results = join(root, 'build/bench/results.json');
const kept = join(root, 'docs/performance.json');
const before = JSON.parse(readFileSync(kept, 'utf8')) as Summary;
let summary = before;
if (existsSync(results)) {
  summary = merged(before, summaryOf(JSON.parse(readFileSync(results, 'utf8')) as ResultsFile));
  writeFileSync(kept, `${JSON.stringify(summary, null, 2)}\n`);
} else console.log(`there is no ${results}: the pages are made from ${kept}`);
writeFileSync(join(root, 'docs/performance.svg'), chartOfHits(summary));
console.log('written: docs/performance.svg');
const blocks = blocksOf(summary);
for (const page of ['docs/performance.md', 'docs/operations.md']) {
  const file = join(root, page);
  writeFileSync(file, renewed(readFileSync(file, 'utf8'), blocks));
  console.log(`written: ${page}`);
}
