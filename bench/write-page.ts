/**
 * `npm run bench:page`: makes docs/performance.json from build/bench/results.json, if there is one, and the tables of
 * docs/performance.md and docs/operations.md from it. It builds nothing, because a build removes the results.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../test/root.js';
import { blocksOf, renewed } from './page.js';
import { type ResultsFile, type Summary, summaryOf } from './summary.js';

const results = join(root, 'build/bench/results.json');
const kept = join(root, 'docs/performance.json');
if (existsSync(results)) {
  const file = JSON.parse(readFileSync(results, 'utf8')) as ResultsFile;
  // A run of curves alone must not empty the tables of the peers.
  if (Object.keys(file.results).length > 0) {
    writeFileSync(kept, `${JSON.stringify(summaryOf(file), null, 2)}\n`);
  } else console.log(`${results} has no peers: the pages are made from ${kept}`);
} else console.log(`there is no ${results}: the pages are made from ${kept}`);
const blocks = blocksOf(JSON.parse(readFileSync(kept, 'utf8')) as Summary);
for (const page of ['docs/performance.md', 'docs/operations.md']) {
  const file = join(root, page);
  writeFileSync(file, renewed(readFileSync(file, 'utf8'), blocks));
  console.log(`written: ${page}`);
}
