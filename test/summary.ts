import { Parser, type Result } from 'tap-parser';

/** What became of a run: how many assertions, which failed, and which could not be made on this machine. */
export interface Summary {
  readonly passed: number;
  /** Each with its file and the tests it stands in, and the lines that say why. */
  readonly failures: readonly { readonly name: string; readonly details: readonly string[] }[];
  /** Files whose tests were skipped, by the reason. */
  readonly skipped: ReadonlyMap<string, ReadonlySet<string>>;
  /** Comments of tests that begin with `note:`, in order. */
  readonly notes: readonly string[];
}

/** Most lines that one failure takes in the summary; the whole of it stands where the test ran. */
const DETAIL_LINES = 16;
/** Most failures that are shown one by one. */
const SHOWN = 40;

/**
 * Reads what a run of tap printed.
 *
 * @param output in TAP version 14 (https://testanything.org)
 * @param ended tap's exit code, or the signal that ended it: a run that failed without a failed test is a failure too
 */
export async function summarize(
  output: AsyncIterable<string | Buffer>,
  ended: number | NodeJS.Signals | null | Promise<number | NodeJS.Signals | null>,
): Promise<Summary> {
  const failures: Summary['failures'][number][] = [];
  const skipped = new Map<string, Set<string>>();
  const notes: string[] = [];
  let passed = 0;

  /** Takes one level of subtests; the result says how much it and those below it had, once it is over. */
  function take(parser: Parser): { count: number; failed: number } {
    const level = { count: 0, failed: 0 };
    let child = { count: 0, failed: 0 };
    parser.on('child', (subtest) => {
      child = take(subtest);
    });
    parser.on('comment', (comment) => {
      const [, note] = /^# note: (.*)/.exec(comment) ?? [];
      if (note !== undefined) notes.push(note);
    });
    parser.on('assert', (result) => {
      const below = result.closingTestPoint ? child : { count: 0, failed: 0 };
      child = { count: 0, failed: 0 };
      level.failed += below.failed;
      level.count += below.count + 1;
      if (result.skip !== false) {
        const reason = typeof result.skip === 'string' ? result.skip : 'no reason is given';
        skipped.set(reason, (skipped.get(reason) ?? new Set()).add(fileOf(result)));
      } else if (result.todo !== false) {
        // What is known to be missing is neither.
      } else if (result.ok) {
        // A test is as many as are in it.
        if (below.count === 0) passed++;
      } else if (below.failed === 0) {
        // A test that failed because something in it did is told of once, by what is inside.
        level.failed++;
        failures.push({ name: result.fullname, details: detailsOf(result.diag) });
      }
    });
    return level;
  }

  const parser = new Parser();
  take(parser);
  const end = new Promise<void>((resolve) => parser.once('complete', () => resolve()));
  for await (const chunk of output) parser.write(chunk);
  parser.end();
  await end;
  const code = await ended;
  if (code !== 0 && failures.length === 0)
    failures.push({ name: 'the run', details: [`tap ended with ${code}`] });
  return { passed, failures, skipped, notes };
}

/** `build/test/rules/table.test.js > a test > in it`: the file. */
function fileOf({ fullname }: Result): string {
  return fullname.split(' > ')[0] ?? fullname;
}

/** Why an assertion failed, from its YAML diagnostics: what was found, where, and how a whole file ended. */
function detailsOf(diagnostics: unknown): string[] {
  const { diff, at, found, wanted, exitCode, signal, expired } = (diagnostics ?? {}) as {
    diff?: string;
    at?: { fileName?: string; lineNumber?: number };
    found?: unknown;
    wanted?: unknown;
    exitCode?: number;
    signal?: string;
    expired?: string;
  };
  const lines: string[] = [];
  if (diff !== undefined) lines.push(...diff.trimEnd().split('\n'));
  else if (found !== undefined || wanted !== undefined)
    lines.push(`found ${JSON.stringify(found)}`, `wanted ${JSON.stringify(wanted)}`);
  if (expired !== undefined) lines.push(`it took too long: ${expired}`);
  if (exitCode !== undefined) lines.push(`the process ended with ${exitCode}`);
  if (typeof signal === 'string') lines.push(`the process was ended by ${signal}`);
  if (lines.length > DETAIL_LINES) lines.splice(DETAIL_LINES, Number.POSITIVE_INFINITY, '…');
  if (at?.fileName !== undefined) lines.push(`at ${at.fileName}:${at.lineNumber}`);
  return lines;
}

/**
 * The last lines of a run: the count, what tests have noted, then each failure, then what this machine lacks.
 *
 * @param complete whether what was skipped may be: false where `TEST_REQUIRE=all` says that nothing may
 * @returns lines without line ends
 */
export function closingLines({ passed, failures, skipped, notes }: Summary, complete = true): string[] {
  const files = [...skipped.values()].reduce((sum, names) => sum + names.size, 0);
  const lines = ['', `${passed} passed, ${failures.length} failed, ${files} skipped`];
  lines.push(...notes);
  if (failures.length > 0) {
    lines.push('', 'failed:');
    for (const { name, details } of failures.slice(0, SHOWN))
      lines.push(`  ${name}`, ...details.map((line) => `    ${line}`));
    if (failures.length > SHOWN) lines.push(`  and ${failures.length - SHOWN} more`);
  }
  const heading = complete ? 'not run:' : 'not run, though TEST_REQUIRE=all says that all must be:';
  lines.push('', skipped.size === 0 ? 'not run: nothing, all was there' : heading);
  for (const [reason, names] of [...skipped].sort(([a], [b]) => (a < b ? -1 : 1)))
    lines.push(`  ${reason}: ${[...names].sort().join(', ')}`);
  return lines;
}
