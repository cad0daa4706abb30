import { type Finding, isError } from '../document/finding.js';
import type { SourceDocument } from '../document/yaml.js';
import type { Rule } from '../model/rule.js';
import { wildcardsAround } from './table/hosts.js';

/** One APIRule, compiled. */
export interface Compiled {
  readonly document: SourceDocument;
  /** `namespace/name`; undefined if it has none. */
  readonly name: string | undefined;
  /** Undefined if some of them are not known. */
  readonly hosts: readonly string[] | undefined;
  readonly rules: readonly Rule[];
  findings: readonly Finding[];
}

/**
 * Leaves out the APIRules that cannot be served, if the settings allow it. Their errors become warnings.
 *
 * An APIRule that shares a host with another one is not left out, because the other one would then answer its
 * requests and may allow more. An APIRule whose hosts are not known is not left out either.
 *
 * @param compiled all APIRules; findings are added to them
 * @param left the APIRules that are left out are added to this set
 */
export function leaveOut(
  compiled: readonly Compiled[],
  left: Set<Compiled>,
  { unserved }: { readonly unserved?: 'refuse' | 'leaveOut' },
): void {
  if (unserved !== 'leaveOut') return;
  const broken = compiled.filter((each) => !left.has(each) && each.findings.some(isError));
  const others = compiled.filter((each) => !broken.includes(each) && !left.has(each));
  for (const each of broken) {
    const { hosts, document, name } = each;
    const place = { ...document.at(['metadata', 'name']), ...(name === undefined ? {} : { apiRule: name }) };
    const who = name ?? 'the APIRule';
    const rival = hosts && others.find((other) => shareHost(hosts, other.hosts ?? []));
    if (hosts === undefined || rival !== undefined) {
      const why = hosts === undefined ? 'its hosts are not known' : `${rival?.name} serves one of its hosts`;
      const message = `${who} cannot be left out, because ${why}`;
      each.findings = [...each.findings, { ...place, level: 'error', code: 'not-left-out', message }];
      continue;
    }
    left.add(each);
    const message = `${who} is left out (kyma.unserved: leaveOut): requests for ${hosts.join(', ')} get 404`;
    each.findings = [
      { ...place, level: 'warning', code: 'left-out', message },
      ...each.findings.map((finding): Finding => ({ ...finding, level: 'warning' })),
    ];
  }
}

/**
 * If rules of one APIRule overlap with each other, moves these errors from the table's findings to those of
 * the APIRule, so that {@link leaveOut} leaves it out.
 *
 * @returns whether the table has to be built again
 */
export function leaveOutOverlaps(
  compiled: readonly Compiled[],
  left: ReadonlySet<Compiled>,
  findings: readonly Finding[],
): boolean {
  let found = false;
  for (const each of compiled) {
    if (left.has(each)) continue;
    const own = findings.filter((finding) => isError(finding) && finding.apiRule === each.name);
    if (own.length === 0) continue;
    each.findings = [...each.findings, ...own];
    found = true;
  }
  return found;
}

function shareHost(hosts: readonly string[], others: readonly string[]): boolean {
  const around = (names: readonly string[]): string[] =>
    names.flatMap((name) => [name, ...wildcardsAround(name)]);
  const [mine, theirs] = [around(hosts), around(others)];
  return hosts.some((host) => theirs.includes(host)) || others.some((host) => mine.includes(host));
}
