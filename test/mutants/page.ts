import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../root.js';
import type { FileResult } from './campaign.js';
import { EXPLAINED } from './explained.js';

/**
 * Writes docs/mutants.md, with the date and the commit.
 *
 * @param results of a run over all that is picked
 */
export function writePage(results: readonly FileResult[]): void {
  // The last one that changed what is tried.
  const commit = execFileSync(
    'git',
    ['log', '-1', '--format=%h', '--abbrev=10', '--', 'src', 'test', ':(exclude)test/mutants'],
    { cwd: root, encoding: 'utf8' },
  ).trim();
  writeFileSync(join(root, 'docs/mutants.md'), page(results, new Date().toISOString().slice(0, 10), commit));
}

function page(results: readonly FileResult[], date: string, commit: string): string {
  const sum = (of: (result: FileResult) => number): number => results.reduce((n, each) => n + of(each), 0);
  const [tried, killed, all] = [sum((r) => r.tried), sum((r) => r.killed), sum((r) => r.all)];
  const rows = results.map(
    ({ file, all, tried, killed, explained, survived }) =>
      `| \`${file}\` | ${all} | ${tried} | ${killed} | ${explained.length} | ${survived.length} |`,
  );
  const reasons = results.flatMap(({ explained }) =>
    explained.map(({ id, line }) => `| ${code(id)} | ${line} | ${EXPLAINED.get(id)} |`),
  );
  const unexplained = sum((r) => r.survived.length);
  const explained = sum((r) => r.explained.length);
  const rest = unexplained === 0 ? '' : ` ${unexplained} of the survivors are not explained yet.`;
  const share = (of: number): string => ((100 * killed) / of).toFixed(1);
  return `# Mutation tests

A mutant is the program with one small change, as somebody might make it by mistake. A mutation test runs the tests on each
mutant. If none fails, the mutant survives: no test guards what was changed. The mutants here are in the code that keeps
clients from each other's data: the decision, access strategies, required scopes, introspection and its cache, canonical
targets, header fields, tokens, proofs of possession, and the upstream client.

## Result

**The tests killed ${killed} of ${tried} mutants (${share(tried)} %).** ${explained} survivors do the same as the program, at most more
slowly, so no test can kill them; each is explained below. Of the mutants that do something else the tests killed
${share(tried - explained)} %.${rest} Run on ${date} at commit ${commit} with Node ${process.versions.node}.

| file, below \`src/\` | mutants | tried | killed | survived, explained | survived, not explained |
|---|---|---|---|---|---|
${rows.join('\n')}

## How to run it

\`\`\`sh setup
npm run test:mutants -- --resume --write
\`\`\`

takes an hour or more and writes this page. It keeps its results in \`build/mutants.jsonl\`. With \`--resume\` an earlier result counts as long
as the source file and the tests it came from are the same. Do not build while it runs.

| option | does |
|---|---|
| \`--only auth/decide\` | tries only files whose name begins like that |
| \`--list\` | prints the mutants and tries none |
| \`--jobs 2\` | tries two mutants at once |
| \`--sample\` | tries only the sample of the slow checks |

The slow checks (\`npm run test:slow\`, and so \`.ci/run\`) try a fixed sample; a survivor fails them.
If you add code to these files, write a test that kills its mutants, or say in
[test/mutants/explained.ts](../test/mutants/explained.ts) why no test can.

## What is changed

| what | into |
|---|---|
| the condition of \`if\` | true, and false |
| the condition of \`while\` and \`for\` | false |
| the condition of \`? :\`, and \`!\` | its opposite |
| \`<\` \`<=\` \`>\` \`>=\` | \`<=\` \`<\` \`>=\` \`>\` |
| \`===\` \`!==\` | each other |
| \`&&\` \`\\|\\|\` \`??\` | the same without each of the operands |
| \`+\` \`-\` \`*\` \`/\` \`%\` \`&\` \`\\|\`, \`++\` \`--\`, \`Math.min\` \`Math.max\`, \`some\` \`every\` | another one of them |
| \`startsWith\`, \`endsWith\` | \`includes\` |
| \`toLowerCase()\`, \`trim()\` | nothing |
| a number up to 9 | one more |
| a larger number | 0 |
| \`true\`, \`false\` | each other |
| a comparison that is returned | true, and false |
| a call or an assignment that is a statement | nothing |
| a regular expression | the same without \`^\`, without \`$\`, without the flag \`i\` |

The files have ${all} such mutants. A hash of each mutant's name picks those that are tried, so a change in one place does not
pick others elsewhere. A mutant is tried on the tests of its file, which are listed in
[test/mutants/sources.ts](../test/mutants/sources.ts). It is killed when a test fails twice in a row, or when a test does not end in
the time limit and takes at most a third of that time without the mutant.

## Survivors

| mutant | line | why no test kills it |
|---|---|---|
${reasons.join('\n')}
`;
}

/** Text as code in a cell of a table. */
function code(text: string): string {
  const fence = text.includes('`') ? '``' : '`';
  return `${fence}${text.replaceAll('|', '\\|')}${fence}`;
}
