import { type Finding, isError } from '../document/finding.js';
import { toGithub } from '../document/github.js';
import { toJunit } from '../document/junit.js';
import { PLAIN, printFindings } from '../document/print.js';
import { toSarif } from '../document/sarif.js';
import { version } from '../observe/version.js';
import { choose, type Io, readArgs, requireConfig } from './command.js';
import { load } from './load.js';
import { showProgress } from './progress.js';

export const help = `Usage: scopegate check --config FILE [--strict] [--format FORMAT]

Loads the settings and all rules as 'serve' does, analyses whether rules
overlap, and prints every error and warning in order of position, one per line:

  file:line:col level code message

It opens no port and sends nothing. Findings go to standard output, a summary to
standard error. On a terminal, it shows its progress after one second.

Options:
  -c, --config FILE  the settings file (YAML or JSON); paths in it are relative
                     to its folder
  --strict           fail on warnings too
  --format FORMAT    lines: one line per finding, as above
                     text: also the source line, with a caret under the place
                     (the default is text on a terminal, lines elsewhere)
                     json: a list of findings
                     sarif: a SARIF 2.1.0 log, for code hosts
                     junit: a JUnit report, for CI servers
                     github: annotations of GitHub Actions
  --no-color         no colours, also on a terminal
  -h, --help         print this help

Environment:
  SCOPEGATE_<PATH>   overrides one setting, for example
                     SCOPEGATE_LISTEN_PROXY_PORT=8080; findings about it have
                     the position env:NAME:1:1

Exit code:
  0  no errors (and with --strict, no warnings)
  1  errors, or warnings with --strict
  2  bad usage

Example:
  scopegate check --config config/folder.yaml --strict
`;

/**
 * `scopegate check`: reports every error and warning in settings and rules in one run.
 *
 * @returns the exit code
 * @throws UsageError for invalid arguments
 */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const { values } = readArgs(args, {
    config: { type: 'string', short: 'c' },
    strict: { type: 'boolean', default: false },
    format: { type: 'string' },
  });
  const style = io.styles?.out ?? PLAIN;
  const print = choose('format', values.format ?? (style.excerpts ? 'text' : 'lines'), FORMATS);
  const { table, findings } = load(requireConfig(values.config), io.environment, showProgress(io, 'check'));
  io.out(print(findings, style.colours));
  io.err(`${summary(findings, table?.rules.length)}\n`);
  const failed = findings.some(({ level }) => level === 'error' || values.strict);
  return failed ? 1 : 0;
}

const FORMATS: Readonly<Record<string, (findings: readonly Finding[], colours: boolean) => string>> = {
  lines: (findings, colours) => printFindings(findings, { excerpts: false, colours }),
  text: (findings, colours) => printFindings(findings, { excerpts: true, colours }),
  json: (findings) => `${JSON.stringify(findings, null, 2)}\n`,
  junit: (findings) =>
    toJunit(
      'scopegate check',
      // CI servers take a report without any test for a run that went wrong.
      findings.length === 0
        ? [{ name: 'the settings and the rules', of: 'scopegate check' }]
        : findings.map(({ file, line, col, level, code, message }) => ({
            name: `${file}:${line}:${col} ${level} ${code}`,
            of: file,
            failure: message,
          })),
    ),
  github: toGithub,
  sarif: (findings) => `${JSON.stringify(toSarif(findings, version), null, 2)}\n`,
};

function summary(findings: readonly Finding[], rules: number | undefined): string {
  const errors = findings.filter(isError).length;
  const warnings = findings.length - errors;
  const counts = [errors > 0 && count(errors, 'error'), warnings > 0 && count(warnings, 'warning')].filter(
    Boolean,
  );
  const found = counts.length === 0 ? 'no findings' : counts.join(' and ');
  return rules === undefined ? `check: ${found}` : `check: ${count(rules, 'rule')}, ${found}`;
}

function count(amount: number, noun: string): string {
  return `${amount} ${noun}${amount === 1 ? '' : 's'}`;
}
