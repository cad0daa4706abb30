import { type Finding, isError } from '../document/finding.js';
import type { SourceDocument } from '../document/yaml.js';
import { readRuleHost } from '../rules/apirule/host.js';
import { items } from '../rules/apirule/manifest.js';
import { type Io, readArgs, reportFindings, UsageError } from './command.js';
import { cleanExport, isFromCluster, isMaesterRule } from './convert/cluster.js';
import { readConfig, readFile, readRepositories, strategyOf, unfolded } from './convert/input.js';
import { isConfiguration, OathkeeperConfig } from './convert/oathkeeper.js';
import { toYaml, tryOut, writeFiles } from './convert/output.js';
import { Converter, NAMESPACE } from './convert/rule.js';
import { settingsOf } from './convert/settings.js';
import type { ApiRule } from './convert/trial.js';

export const help = `Usage: scopegate convert [--config FILE] [--out DIR] [--glob] [--namespace NAME]
                         [--hosts NAMES] [FILE...]

Writes clean APIRules, from the export of a Kyma cluster (kubectl get apirules
-A -o yaml, or -o json) or from Ory Oathkeeper access rules: a list of rules,
one rule, the custom resource of Oathkeeper Maester, or a ConfigMap that holds
rules, in JSON or YAML.

From an export, it takes the spec of each APIRule out of Kyma's annotation, and
removes what the API server added. APIRules v1alpha1 become v1beta1. Then it
checks each of them, and prints findings with their place in the new file.

If an APIRule cannot express a part of an access rule, standard error says so:

  file:line:col warning not-carried-over ...   the APIRule omits this part
  file:line:col error rule-left-out ...        the APIRule would allow more
                                               requests, or forward them
                                               elsewhere: it is not printed

The scheme and port of match.url are dropped, because scopegate serves all rules
on its own listener.

Options:
  --config FILE     the configuration of Oathkeeper (oathkeeper.yml), or the
                    ConfigMap that holds it. It gives rules the configuration of
                    handlers, error handlers and CORS. A rule with a handler
                    that it does not enable is left out, as in Oathkeeper.
                    With --out, DIR/scopegate.yaml gets the equivalent settings
                    of scopegate, and DIR/rules gets the APIRules.
                    Without a FILE, convert reads its access_rules.repositories
  --out DIR         write one file per APIRule, DIR/NAMESPACE.NAME.yaml, and
                    DIR/report.txt, instead of printing the APIRules. An
                    existing file with other content is never overwritten
  --glob            the rules use globs (matching_strategy: glob) instead of
                    regular expressions. The configuration can also say so, and
                    convert detects globs that are not regular expressions
  --namespace NAME  metadata.namespace of the APIRules; without it, Rule
                    resources keep theirs
  --hosts NAMES     hosts for rules that match any host, separated by commas;
                    without it, such a rule is for every host
  --no-color        no colours, also on a terminal
  -h, --help        print this help

Exit code:
  0  everything was converted
  1  something could not be converted, or cannot be served; standard error
     lists it
  2  bad usage

Examples:
  scopegate convert --out rules apirules.yaml
  scopegate convert access-rules.yaml > rules/apirules.yaml
  scopegate convert --config oathkeeper.yml --out gateway access-rules.yaml
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
    {
      config: { type: 'string' },
      glob: { type: 'boolean', default: false },
      hosts: { type: 'string' },
      namespace: { type: 'string' },
      out: { type: 'string' },
    },
    true,
  );
  const { config: file, namespace, out } = values;
  if (positionals.length === 0 && file === undefined)
    throw new UsageError('a FILE with APIRules or access rules is missing');
  if (namespace !== undefined && !NAMESPACE.test(namespace)) {
    throw new UsageError(`--namespace: "${namespace}" is not a valid namespace name`);
  }
  const findings: Finding[] = [];
  const config = file === undefined ? new OathkeeperConfig() : readConfig(file, findings);
  if (config === undefined) {
    // Without it, every rule would be read in another way than Oathkeeper did.
    reportFindings(io, findings, NOT_A_FILE);
    io.err(`convert: 0 APIRules, ${count(findings.length, 'finding')}\n`);
    return 1;
  }
  const given = values.glob ? 'glob' : config.strategy;
  const converter = new Converter({
    strategy: given ?? 'regexp',
    hosts: hostNames(values.hosts),
    config,
    ...(namespace === undefined ? {} : { namespace }),
  });
  const inputs = positionals.length > 0 ? positionals.map(readFile) : [readRepositories(config)];
  const apiRules: ApiRule[] = [];
  const names = new Set<string>();
  const fromCluster: ApiRule[] = [];
  for (const { documents } of inputs) {
    const manifests = documents.filter(isFromCluster).flatMap((document) => items(document, []));
    cleanExport(manifests, new Set()).apiRules.forEach((each) => {
      converter.reserve(each);
    });
  }
  for (const read of inputs) {
    findings.push(...read.findings);
    const [exported, others] = partition(read.documents, isFromCluster);
    const [resources, manifests] = partition(
      exported.flatMap((document) => items(document, findings)),
      isOfOathkeeper,
    );
    const cleaned = cleanExport(manifests, names);
    findings.push(...cleaned.findings);
    fromCluster.push(...cleaned.apiRules);
    for (const document of unfolded([...others, ...resources], findings)) {
      if (isConfiguration(document.value)) {
        const message = "this is Oathkeeper's configuration, not a rule: give it with --config";
        findings.push({ ...document.at([]), level: 'error', code: 'not-a-rule', message });
        continue;
      }
      const strategy = given ?? strategyOf(document);
      if (given === undefined && strategy === 'glob') {
        const message =
          'the patterns are not valid regular expressions, so scopegate reads them as globs; to confirm that, use --glob';
        findings.push({ ...document.at([]), level: 'warning', code: 'read-as-globs', message });
      }
      const converted = converter.document(document, strategy);
      apiRules.push(...converted.apiRules);
      findings.push(...converted.findings);
    }
  }
  const all = [...fromCluster, ...apiRules];
  const settings = config.isThere ? settingsOf(config, converter.services) : undefined;
  findings.push(...(settings?.findings ?? []));
  // A rule that Oathkeeper refused is converted whole.
  const lost = findings.filter(({ code }) => code !== 'refused-before').length;
  if (out === undefined) {
    if (settings !== undefined) io.out(commented(settings.text));
    io.out(all.map(toYaml).join('---\n'));
    findings.push(...fromCluster.flatMap((each) => tryOut(toYaml(each), 'stdout')));
  } else findings.push(...writeFiles(out, all, findings, settings?.text));
  reportFindings(io, findings, NOT_A_FILE);
  if (apiRules.length > 0 && !config.isThere) io.err(UNKNOWN);
  io.err(`convert: ${count(all.length, 'APIRule')}, ${count(findings.length, 'finding')}\n`);
  return lost > 0 || findings.some(isError) ? 1 : 0;
}

const UNKNOWN =
  'convert: without --config nobody knows which handlers Oathkeeper had enabled; all count as enabled\n';

/**
 * The file name in findings about the printed APIRules. A file that happens to have this name must not be
 * shown.
 */
const NOT_A_FILE: ReadonlyMap<string, readonly string[]> = new Map([['stdout', []]]);

function partition<T>(list: readonly T[], belongs: (item: T) => boolean): [T[], T[]] {
  return [list.filter(belongs), list.filter((item) => !belongs(item))];
}

/** Whether a document holds rules of Oathkeeper. */
function isOfOathkeeper(document: SourceDocument): boolean {
  return isMaesterRule(document) || (document.value as { kind?: unknown } | null)?.kind === 'ConfigMap';
}

function hostNames(text: string | undefined): string[] {
  const names = (text ?? '').split(',').map((name) => name.trim().toLowerCase());
  return names.filter((name) => {
    if (name === '') return false;
    const read = readRuleHost(name, undefined);
    if ('problem' in read) throw new UsageError(`--hosts: "${name}" ${read.problem}`);
    return true;
  });
}

/**
 * Writes the settings as a comment before the APIRules, so that the output is still a valid file of rules.
 */
function commented(text: string): string {
  return `# scopegate.yaml:\n${text.trimEnd().replace(/^/gm, '# ')}\n---\n`;
}

function count(amount: number, noun: string): string {
  return `${amount} ${noun}${amount === 1 ? '' : 's'}`;
}
