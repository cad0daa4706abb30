import { stringify } from 'yaml';
import { type Finding, formatFinding } from '../document/finding.js';
import { readDocuments } from '../document/yaml.js';
import { NotText, readTextFile } from '../model/text-file.js';
import { type Io, readArgs, UsageError } from './command.js';
import { type ApiRule, Converter } from './convert/rule.js';

export const help = `Usage: scopegate convert [--glob] [--namespace NAME] FILE...

Turns Ory Oathkeeper access rules (JSON or YAML: a list, one rule, or the custom
resource of Oathkeeper Maester) into APIRules, printed on standard output as YAML.

What cannot be carried over is listed on standard error, each with its place:

  file:line:col warning not-carried-over ...   the rule goes on without it
  file:line:col error rule-left-out ...        the rule would let in more, or
                                               send it elsewhere: it is not printed

The scheme and the port of match.url are not kept: the gateway answers on the
listener it has. The configuration of Oathkeeper itself is not read: what its rules
leave to it (introspection_url, jwks_urls, scope_strategy) must be in the settings
or in the rules.

Options:
  --glob            the rules use globs (matching_strategy: glob), not expressions
  --namespace NAME  the namespace of the APIRules
  -h, --help        print this help

Exit code:
  0  everything was carried over   1  something was not   2  bad usage

Example:
  scopegate convert access-rules.yaml > rules/apirules.yaml
`;

/** `scopegate convert`: Oathkeeper access rules to APIRules. */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = readArgs(
    args,
    { glob: { type: 'boolean', default: false }, namespace: { type: 'string' } },
    true,
  );
  if (positionals.length === 0) throw new UsageError('FILE is missing');
  const { namespace } = values;
  if (namespace !== undefined && !/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(namespace)) {
    throw new UsageError(`"${namespace}" is no name of a namespace`);
  }
  const converter = new Converter({
    strategy: values.glob ? 'glob' : 'regexp',
    ...(namespace === undefined ? {} : { namespace }),
  });
  const apiRules: ApiRule[] = [];
  const findings: Finding[] = [];
  for (const file of positionals) {
    const read = readFile(file);
    findings.push(...read.findings);
    for (const document of read.documents) {
      const converted = converter.document(document);
      apiRules.push(...converted.apiRules);
      findings.push(...converted.findings);
    }
  }
  io.out(apiRules.map((apiRule) => stringify(apiRule, { lineWidth: 0 })).join('---\n'));
  for (const finding of findings) io.err(`${formatFinding(finding)}\n`);
  io.err(`convert: ${count(apiRules.length, 'APIRule')}, ${count(findings.length, 'finding')}\n`);
  return findings.length === 0 ? 0 : 1;
}

function readFile(file: string): ReturnType<typeof readDocuments> {
  try {
    return readDocuments(readTextFile(file), file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined && !(error instanceof NotText)) throw error;
    const finding: Finding = {
      ...{ file, line: 1, col: 1 },
      level: 'error',
      code: 'unreadable-file',
      message: error instanceof NotText ? error.message : `cannot be read: ${code}`,
    };
    return { documents: [], findings: [finding] };
  }
}

function count(amount: number, noun: string): string {
  return `${amount} ${noun}${amount === 1 ? '' : 's'}`;
}
