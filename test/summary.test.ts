import { spawnSync } from 'node:child_process';
import { join, relative } from 'node:path';
import { Readable } from 'node:stream';
import t, { type Test } from 'tap';
import { filesOf } from './image/files.js';
import { root } from './root.js';
import { membersOf, quickFiles, SUITES, type Suite } from './suites/suites.js';
import { closingLines, summarize } from './summary.js';

/** The closing lines of a run that printed this. */
const closing = async (output: string, ended: number | NodeJS.Signals = 0) =>
  closingLines(await summarize(Readable.from([output]), ended));

/** Runs `npm test` on files with this content, and gives its exit code and the lines after the count. */
function run(t: Test, files: Readonly<Record<string, string>>, env: NodeJS.ProcessEnv = {}) {
  const folder = t.testdir(files);
  // Nothing of the run that this test is part of: not its format, and not the file that it writes.
  const outer = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^_?TAP|^NODE_OPTIONS$/.test(name)),
  );
  const { status, stdout } = spawnSync(
    process.execPath,
    [
      join(root, 'build/test/run.js'),
      '--reporter=tap',
      ...Object.keys(files).map((name) => join(folder, name)),
    ],
    { encoding: 'utf8', maxBuffer: 2 ** 26, env: { ...outer, TEST_REQUIRE: '', ...env } },
  );
  const lines = stdout.trimEnd().split('\n');
  const from = lines.findIndex((line) => /^\d+ passed, /.test(line));
  return { status, lines: lines.slice(from), text: lines.slice(from).join('\n') };
}

t.test('when all passed, the last line says that nothing was left out', async (t) => {
  t.same(
    await closing(
      'TAP version 14\n# Subtest: a.test.js\n    ok 1 - one\n    ok 2 - two\n    1..2\nok 1 - a.test.js\n1..1\n',
    ),
    ['', '2 passed, 0 failed, 0 skipped', '', 'not run: nothing, all was there'],
  );
});

t.test('what a test notes stands below the count, once', async (t) => {
  const output =
    '# Subtest: a.test.js\n    # Subtest: deep\n        # note: 105 compared\n        # something else\n        ok 1 - one\n        1..1\n    ok 1 - deep\n    1..1\nok 1 - a.test.js\n1..1\n';
  t.same((await closing(`TAP version 14\n${output}`)).slice(1, 4), [
    '1 passed, 0 failed, 0 skipped',
    '105 compared',
    '',
  ]);
});

t.test('what a machine lacks stands last, by name, with the files that want it', async (t) => {
  const output = ['a', 'b', 'c']
    .map(
      (name, i) =>
        `# Subtest: ${name}.test.js\n    # Subtest: deep\n        ok 1 - needs it # SKIP ${i === 1 ? 'chromium' : 'nginx'} is not installed\n        1..1\n    ok 1 - deep\n    ok 2 - fine\n    1..2\nok ${i + 1} - ${name}.test.js\n`,
    )
    .join('');
  t.same((await closing(`TAP version 14\n${output}1..3\n`)).slice(1), [
    '3 passed, 0 failed, 3 skipped',
    '',
    'not run:',
    '  chromium is not installed: b.test.js',
    '  nginx is not installed: a.test.js, c.test.js',
  ]);
});

t.test('npm test tells each failure once, with where it is and what was found, and fails', async (t) => {
  const { status, lines, text } = run(t, {
    'a.test.js': `import t from 'tap';
t.test('outer', (t) => {
  t.test('inner', async (t) => { t.equal(1, 2, 'one is two'); t.ok(true); });
  t.end();
});
t.test('throws', async () => { throw new Error('boom'); });
t.test('later', { todo: 'later' }, async (t) => t.ok(false));
`,
    'b.test.js': `import t from 'tap';
t.test('fine', async (t) => t.ok(true));
process.on('exit', () => { process.exitCode = 3; });
`,
  });
  t.equal(status, 1);
  t.equal(lines[0], '2 passed, 3 failed, 0 skipped', text);
  const names = lines.filter((line) => /^ {2}\S/.test(line)).map((line) => line.replace(/.*\//, '').trim());
  t.same(names, ['a.test.js > outer > inner > one is two', 'a.test.js > throws > boom', 'b.test.js']);
  t.match(text, /one is two\n {4}--- expected\n(?:.*\n)*? {4}-2\n {4}\+1\n {4}at .*a\.test\.js:3\n/);
  t.match(text, 'the process ended with 3');
  t.equal(lines.at(-1), 'not run: nothing, all was there');
});

t.test('a run that ends otherwise than its tests is a failure', async (t) => {
  const output = '# Subtest: a.test.js\n    ok 1 - one\n    1..1\nok 1 - a.test.js\n';
  for (const ended of [1, 'SIGKILL'] as const)
    t.same((await closing(output, ended)).slice(1, 6), [
      '1 passed, 1 failed, 0 skipped',
      '',
      'failed:',
      '  the run',
      `    tap ended with ${ended}`,
    ]);
});

t.test('a file that takes too long is named', async (t) => {
  const output = 'not ok 1 - timeout!\n  ---\n  expired: build/test/a.test.js\n  ...\n';
  t.same((await closing(output, 1)).slice(3, 6), [
    'failed:',
    '  timeout!',
    '    it took too long: build/test/a.test.js',
  ]);
});

t.test('npm test passes where something is lacking, and fails where TEST_REQUIRE=all', async (t) => {
  const files = {
    'a.test.js': `import t from 'tap';
t.test('page', async (t) => t.pass('needs chromium', { skip: 'chromium is not installed' }));
t.test('more than a pipe holds', async (t) => {
  for (let i = 0; i < 10_000; i++) t.pass('a name that takes its room');
});
`,
  };
  const lacking = run(t, files);
  t.equal(lacking.status, 0, lacking.text);
  t.equal(lacking.lines[0], '10000 passed, 0 failed, 1 skipped');
  t.match(lacking.lines.at(-1), /^ {2}chromium is not installed: .*a\.test\.js$/);
  const required = run(t, files, { TEST_REQUIRE: 'all' });
  t.equal(required.status, 1, required.text);
  t.match(required.lines.at(-2), /TEST_REQUIRE=all/);
});

t.test('npm test runs every quick test file once', async (t) => {
  const top = join(root, 'build/test');
  const nameOf = (path: string) => relative(top, path).slice(0, -'.test.js'.length);
  const suites = Object.keys(SUITES) as Suite[];
  const started = quickFiles().map(nameOf);
  const run = [...started, ...suites.flatMap(membersOf)].sort();
  const all = filesOf(top).filter((path) => path.endsWith('.test.js'));
  t.same(run, all.map(nameOf).sort());
  t.ok(started.length < all.length / 3, 'most of them together with others');
  t.same(
    started.slice(0, suites.length),
    suites.map((name) => `suites/${name}`),
    'suites first',
  );
});
