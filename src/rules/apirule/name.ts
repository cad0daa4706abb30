import type { Finding } from '../../document/finding.js';
import type { SourceDocument } from '../../document/yaml.js';
import { membersOf } from '../../model/json.js';
import { readRuleHost } from './host.js';
import { serviceHosts } from './service.js';

/** An APIRule's `namespace/name`; undefined if it has no name. */
export function nameOf({ value }: SourceDocument): string | undefined {
  const { name, namespace = 'default' } = membersOf(membersOf(value).metadata);
  return typeof name === 'string' && typeof namespace === 'string' ? `${namespace}/${name}` : undefined;
}

/**
 * The hosts of an APIRule of any version, even if other parts of it are invalid.
 *
 * @param domain as for `readRuleHost`
 * @param templates as for `serviceHosts`
 * @returns undefined if some of the hosts are not known
 */
export function hostsOf(
  { value }: SourceDocument,
  domain: string | undefined,
  templates: readonly string[] = [],
): string[] | undefined {
  const spec = membersOf(membersOf(value).spec);
  const services = [
    spec.service,
    ...(Array.isArray(spec.rules) ? spec.rules : []).map((rule) => membersOf(rule).service),
  ];
  const namespace =
    membersOf(spec.service).namespace ?? membersOf(membersOf(value).metadata).namespace ?? 'default';
  const names = services
    .map(membersOf)
    .flatMap(({ name, namespace: own = namespace }) =>
      typeof name === 'string' && typeof own === 'string'
        ? serviceHosts(templates, { name, namespace: own, port: 0 })
        : [],
    );
  const texts = Array.isArray(spec.hosts) ? spec.hosts : [spec.host ?? membersOf(spec.service).host];
  const hosts = texts.map((text: unknown) =>
    typeof text === 'string' ? readRuleHost(text, domain) : undefined,
  );
  const known = hosts.flatMap((each) => (each !== undefined && 'host' in each ? [each.host] : []));
  return known.length === texts.length && known.length > 0 ? [...known, ...names] : undefined;
}

/** Returns the finding with a message that names the APIRule it is about. */
export function withName(finding: Finding, name: string | undefined): Finding {
  if (name === undefined) return finding;
  const message = finding.message.includes(name) ? finding.message : `${name}: ${finding.message}`;
  return { ...finding, message, apiRule: name };
}
