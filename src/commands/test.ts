import { type Paint, painter } from '../document/colours.js';
import { byPosition, type Finding, formatPosition, isError, type Position } from '../document/finding.js';
import { toGithub } from '../document/github.js';
import { toJunit } from '../document/junit.js';
import { oneLine } from '../document/one-line.js';
import { validate } from '../document/validate.js';
import { readDocuments, type SourceDocument } from '../document/yaml.js';
import { fileProblem } from '../model/file-error.js';
import { readArgumentFile } from '../model/text-file.js';
import { explain, type HypotheticalSession } from '../rules/explain.js';
import { casesSchema } from './cases-schema.js';
import { choose, type Io, readArgs, reportFindings, requireConfig, UsageError } from './command.js';
import { tokenClaims } from './explain.js';
import { load } from './load.js';
import { showProgress } from './progress.js';

export const help = `Usage: scopegate test --config FILE CASES.yaml [CASES.yaml…]

Compares decisions with a table of expectations, for CI. It uses the same code
as 'serve' and sends nothing.

  cases:
    - name: readers may read       # optional
      request: GET https://httpbin.localhost/headers
      scope: read                  # optional: scopes of an active token;
                                   # without any token field, no token
      aud: [ api ]                 # optional, like iss, sub, client_id, and
                                   # claims: a mapping of other claims
      session: { subject: alice }  # optional, for cookie_session: the session of
                                   # the request's cookie; also extra: a mapping,
                                   # cookie: its name, active: false
      expect: 200                  # a status (200: allowed), allow or deny
      rule: default/httpbin#0      # optional: the rule that must decide

Options:
  -c, --config FILE  the settings file (YAML or JSON)
  --format FORMAT    lines: ok or not ok for each case (the default)
                     junit: a JUnit report, for CI servers
                     github: annotations of GitHub Actions for what differs
  --no-color         no colours, also on a terminal
  -h, --help         print this help

Environment:
  SCOPEGATE_<PATH>   overrides one setting, for example
                     SCOPEGATE_LISTEN_PROXY_PORT=8080

Exit code:
  0  every decision is as expected
  1  a decision differs, or a file has errors
  2  bad usage

Example:
  scopegate test --config config/folder.yaml cases.yaml
`;

interface Case {
  readonly name?: string;
  readonly request: string;
  readonly scope?: string;
  readonly aud?: string | readonly string[];
  readonly iss?: string;
  readonly sub?: string;
  readonly client_id?: string;
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly session?: Partial<HypotheticalSession>;
  readonly expect: number | 'allow' | 'deny';
  readonly rule?: string;
}

/**
 * `scopegate test`: compares decisions with the expectations in a file.
 *
 * @returns the exit code
 * @throws UsageError for invalid arguments
 */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const options = {
    config: { type: 'string', short: 'c' },
    format: { type: 'string', default: 'lines' },
  } as const;
  const { values, positionals } = readArgs(args, options, true);
  const print = choose('format', values.format, FORMATS);
  const config = requireConfig(values.config);
  if (positionals.length === 0) throw new UsageError('a file with cases is missing');
  const { table, findings: problems } = load(config, io.environment, showProgress(io, 'test'));
  const { cases, findings } = readCases(positionals);
  const warnings = problems.filter((problem) => !isError(problem)).length;
  reportFindings(io, [...problems.filter(isError), ...findings].sort(byPosition));
  if (warnings > 0) {
    io.err(
      `test: ${warnings} ${warnings === 1 ? 'warning: run check to see it' : 'warnings: run check to see them'}\n`,
    );
  }
  if (table === undefined || findings.length > 0) return 1;

  const outcomes = cases.map(({ expected, position }): Outcome => {
    const { name, request, scope, aud, iss, sub, client_id, claims, session, expect } = expected;
    const [method = '', url = ''] = request.split(' ');
    const audience = typeof aud === 'string' ? [aud] : aud;
    const token = tokenClaims(scope, audience, iss, sub, client_id, claims);
    const { decision, status } = explain(table, {
      ...{ method, url },
      ...(token === undefined ? {} : { token }),
      ...(session === undefined ? {} : { session: { active: true, ...session } }),
    });
    const outcome = decision.allowed ? 'allow' : 'deny';
    const wrong: string[] = [];
    if (expect !== status && expect !== outcome) {
      const got = decision.allowed ? 'allow' : `deny (${decision.denial.reason})`;
      wrong.push(`expected ${expect}, got ${status} ${got}`);
    }
    if (expected.rule !== undefined && expected.rule !== decision.rule?.id) {
      wrong.push(`expected rule ${expected.rule}, got ${decision.rule?.id ?? 'no rule'}`);
    }
    return { ...position, name: name === undefined ? request : `${name}: ${request}`, wrong };
  });
  io.out(print(outcomes, painter(io.styles?.out.colours === true)));
  const failed = outcomes.filter(({ wrong }) => wrong.length > 0).length;
  io.err(`test: ${outcomes.length - failed} passed, ${failed} failed\n`);
  return failed === 0 ? 0 : 1;
}

/** The result of one case. `wrong` is empty if everything is as expected. */
interface Outcome extends Position {
  readonly name: string;
  readonly wrong: readonly string[];
}

const FORMATS: Readonly<Record<string, (outcomes: readonly Outcome[], paint: Paint) => string>> = {
  lines: (outcomes, paint) =>
    outcomes
      .map(({ name, wrong, ...position }) => {
        if (wrong.length === 0) return `${paint('ok', 'green')} ${oneLine(name)}\n`;
        const differences = wrong.map((text) => `  ${paint(oneLine(text), 'red')}\n`);
        return `${paint('not ok', 'red')} ${oneLine(name)}\n  at ${formatPosition(position)}\n${differences.join('')}`;
      })
      .join(''),
  junit: (outcomes) =>
    toJunit(
      'scopegate test',
      outcomes.map(({ file, line, name, wrong }) => ({
        name,
        of: `${file}:${line}`,
        failure: wrong.length === 0 ? undefined : wrong.join('\n'),
      })),
    ),
  github: (outcomes) =>
    toGithub(
      outcomes
        .filter(({ wrong }) => wrong.length > 0)
        .map(({ file, line, col, name, wrong }) => ({
          ...{ file, line, col },
          level: 'error' as const,
          code: 'unexpected-decision',
          message: [name, ...wrong].join('\n'),
        })),
    ),
};

/** An inactive session has no values: whoever writes some means something else. */
function inactiveWith(document: SourceDocument, index: number, { session }: Case): Finding[] {
  if (session?.active !== false) return [];
  return (['subject', 'extra'] as const)
    .filter((name) => session[name] !== undefined)
    .map((name): Finding => {
      const path = ['cases', index, 'session', name];
      const message = `${path.join('.')}: a session that is not active has no ${name}; remove it, or active: false`;
      return { ...document.keyAt(path), level: 'error', code: 'invalid-value', message };
    });
}

function readCases(files: readonly string[]): {
  cases: { expected: Case; position: Position }[];
  findings: Finding[];
} {
  const cases: { expected: Case; position: Position }[] = [];
  const findings: Finding[] = [];
  for (const file of files) {
    let content: string;
    try {
      content = readArgumentFile(file);
    } catch (error) {
      findings.push({
        file,
        line: 1,
        col: 1,
        level: 'error',
        code: 'unreadable-file',
        message: `the file ${fileProblem(error)}`,
      });
      continue;
    }
    const read = readDocuments(content, file);
    findings.push(...read.findings);
    if (read.documents.length === 0 && read.findings.length === 0) {
      const message = 'the file has no cases, so it would test nothing';
      findings.push({ file, line: 1, col: 1, level: 'error', code: 'no-cases', message });
    }
    for (const document of read.documents) {
      const violations = validate(document, casesSchema);
      findings.push(...violations);
      if (violations.length > 0) continue;
      const { cases: listed } = document.value as { cases: Case[] };
      listed.forEach((expected, index) => {
        findings.push(...inactiveWith(document, index, expected));
        cases.push({ expected, position: document.at(['cases', index]) });
      });
    }
  }
  return { cases, findings };
}
