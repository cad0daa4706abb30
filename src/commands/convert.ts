import { stringify } from 'yaml';
import { type Finding, formatFinding } from '../document/finding.js';
import { readDocuments } from '../document/yaml.js';
import { NotText, readTextFile } from '../model/text-file.js';
import { type Io, readArgs, UsageError } from './command.js';
import { type ApiRule, Converter } from './convert/rule.js';

export const help = `Usage: scopegate convert [--glob] [--namespace NAME] FILE...

Converts Ory Oathkeeper access rules to APIRules and prints them as YAML on
standard output. A file holds JSON or YAML: a list of rules, one rule, or the
custom resource of Oathkeeper Maester.

What an APIRule cannot express is listed on standard error:

  file:line:col warning not-carried-over ...   the APIRule omits this part
  file:line:col error rule-left-out ...        the APIRule would allow more
                                               requests, or forward them
                                               elsewhere: it is not printed

The scheme and port of match.url are dropped, because scopegate serves all rules
on its own listener. The configuration file of Oathkeeper is not read. If rules
rely on its values (introspection_url, jwks_urls, scope_strategy), put these
into the settings of scopegate or into the rules.

Options:
  --glob            the rules use globs (matching_strategy: glob) instead of
                    regular expressions
  --namespace NAME  metadata.namespace of the APIRules
  -h, --help        print this help

Exit code:
  0  everything was converted
  1  something could not be converted; standard error lists it
  2  bad usage

Example:
  scopegate convert access-rules.yaml > rules/apirules.yaml
`;

/**
 * `scopegate convert`: converts Oathkeeper access rules to APIRules.
 *
 * @returns the exit code
 * @throws UsageError for invalid arguments
 */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = readArgs(
    args,
    { glob: { type: 'boolean', default: false }, namespace: { type: 'string' } },
    true,
  );
  if (positionals.length === 0) throw new UsageError('a FILE with access rules is missing');
  const { namespace } = values;
  if (namespace !== undefined && !/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(namespace)) {
    throw new UsageError(`--namespace: "${namespace}" is not a valid namespace name`);
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
