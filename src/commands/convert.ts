import { type Finding, formatFinding } from '../document/finding.js';
import { readDocuments } from '../document/yaml.js';
import { NotText, readTextFile } from '../model/text-file.js';
import { items } from '../rules/apirule/manifest.js';
import { type Io, readArgs, UsageError } from './command.js';
import { cleanExport, isFromCluster, isMaesterRule } from './convert/cluster.js';
import { toYaml, tryOut, writeFiles } from './convert/output.js';
import { Converter } from './convert/rule.js';
import type { ApiRule } from './convert/trial.js';

export const help = `Usage: scopegate convert [--out DIR] [--glob] [--namespace NAME] FILE...

Writes clean APIRules, from the export of a Kyma cluster (kubectl get apirules
-A -o yaml, or -o json) or from Ory Oathkeeper access rules: a list of rules,
one rule, or the custom resource of Oathkeeper Maester, in JSON or YAML.

From an export, each APIRule gets its spec out of the annotation in which Kyma
keeps it, and loses what the API server added. APIRules v1alpha1 become v1beta1.
It then says what scopegate finds in each of them, at its place in the new file.

What an APIRule cannot express of an access rule is listed on standard error:

  file:line:col warning not-carried-over ...   the APIRule omits this part
  file:line:col error rule-left-out ...        the APIRule would allow more
                                               requests, or forward them
                                               elsewhere: it is not printed

The scheme and port of match.url are dropped, because scopegate serves all rules
on its own listener. The configuration file of Oathkeeper is not read. If rules
rely on its values (introspection_url, jwks_urls, scope_strategy), put these
into the settings of scopegate or into the rules.

Options:
  --out DIR         write one file per APIRule, DIR/NAMESPACE.NAME.yaml, and
                    DIR/report.txt, instead of printing the APIRules. A file
                    that exists and says something else is not overwritten
  --glob            the rules use globs (matching_strategy: glob) instead of
                    regular expressions
  --namespace NAME  metadata.namespace of the APIRules
  -h, --help        print this help

Exit code:
  0  everything was converted
  1  something could not be converted, or cannot be served; standard error
     lists it
  2  bad usage

Examples:
  scopegate convert --out rules apirules.yaml
  scopegate convert access-rules.yaml > rules/apirules.yaml
`;

/**
 * `scopegate convert`: writes clean APIRules from a cluster's export or from Oathkeeper access rules.
 *
 * @returns the exit code
 * @throws UsageError for invalid arguments
 */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = readArgs(
    args,
    { glob: { type: 'boolean', default: false }, namespace: { type: 'string' }, out: { type: 'string' } },
    true,
  );
  if (positionals.length === 0) throw new UsageError('a FILE with APIRules or access rules is missing');
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
  const names = new Set<string>();
  const fromCluster: ApiRule[] = [];
  for (const file of positionals) {
    const read = readFile(file);
    findings.push(...read.findings);
    const [exported, others] = partition(read.documents, isFromCluster);
    const [resources, manifests] = partition(
      exported.flatMap((document) => items(document, findings)),
      isMaesterRule,
    );
    const cleaned = cleanExport(manifests, names);
    findings.push(...cleaned.findings);
    fromCluster.push(...cleaned.apiRules);
    for (const document of [...others, ...resources]) {
      const converted = converter.document(document);
      apiRules.push(...converted.apiRules);
      findings.push(...converted.findings);
    }
  }
  const lost = findings.length;
  const all = [...fromCluster, ...apiRules];
  if (values.out === undefined) io.out(all.map(toYaml).join('---\n'));
  else findings.push(...writeFiles(values.out, all, findings));
  if (values.out === undefined)
    findings.push(...fromCluster.flatMap((each) => tryOut(toYaml(each), 'stdout')));
  for (const finding of findings) io.err(`${formatFinding(finding)}\n`);
  io.err(`convert: ${count(all.length, 'APIRule')}, ${count(findings.length, 'finding')}\n`);
  return lost > 0 || findings.some(({ level }) => level === 'error') ? 1 : 0;
}

function partition<T>(list: readonly T[], belongs: (item: T) => boolean): [T[], T[]] {
  return [list.filter(belongs), list.filter((item) => !belongs(item))];
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
