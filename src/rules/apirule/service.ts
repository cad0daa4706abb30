import type { Upstream } from '../../model/upstream.js';
import { readRuleHost } from './host.js';

/** A service of an APIRule, with its namespace resolved. */
export interface ServiceName {
  readonly name: string;
  readonly namespace: string;
  readonly port: number;
}

/**
 * The origins of services, by `name.namespace`, by `name`, or `default`. `{name} {namespace} {port}` are
 * replaced.
 */
export type ServiceTemplates = Readonly<Record<string, string>>;

/**
 * Checks a template of `matching.serviceHosts`. Returns the problem; undefined if it gives every service a
 * name.
 */
export function checkHostTemplate(template: string): string | undefined {
  const unknown = /\{(?!(?:name|namespace)\})[^}]*\}?/.exec(template);
  if (unknown !== null) return `must not contain ${unknown[0]}: only {name} and {namespace} are allowed`;
  if (!template.includes('{name}')) return 'must contain {name}, so that each service has its own host names';
  const host = readRuleHost(fill(template, { name: 'name', namespace: 'namespace', port: 1 }), undefined);
  if ('problem' in host) return host.problem;
  return host.host.startsWith('*') ? 'must be a name without *' : undefined;
}

/**
 * The additional hosts of a service's rules: the service's name in each of the templates.
 *
 * @param templates the setting `matching.serviceHosts`; {@link checkHostTemplate} has accepted them
 * @returns host names in lower case, without duplicates
 */
export function serviceHosts(templates: readonly string[], service: ServiceName): string[] {
  return [...new Set(templates.map((template) => fill(template, service).toLowerCase()))];
}

/** Checks a template. Returns the problem; undefined if it gives an origin for every service it is used for. */
export function checkTemplate(template: string): string | undefined {
  const unknown = /\{(?!(?:name|namespace|port)\})[^}]*\}?/.exec(template);
  if (unknown !== null)
    return `must not contain ${unknown[0]}: only {name}, {namespace} and {port} are known`;
  const sample = fill(template, { name: 'name', namespace: 'namespace', port: 1 });
  return toUpstream(sample) === undefined
    ? 'must be an http or https origin: scheme, host and port, no path'
    : undefined;
}

/**
 * Finds the upstream of a service.
 *
 * @returns the upstream, or why there is none
 */
export function resolveService(templates: ServiceTemplates, service: ServiceName): Upstream | string {
  const keys = [...serviceKeys(service), 'default'];
  const key = keys.find((candidate) => Object.hasOwn(templates, candidate));
  if (key === undefined) {
    return `the setting services has no entry ${keys.slice(0, 2).join(' or ')}, and no default; add "${keys[0]}: http://HOST:PORT" to it`;
  }
  const url = fill(templates[key] as string, service);
  return toUpstream(url) ?? `services.${key} gives "${url}", which is not an http or https origin`;
}

/** The keys under which the settings may have a service before `default`; the first one that is there counts. */
export function serviceKeys({ name, namespace }: Omit<ServiceName, 'port'>): [full: string, name: string] {
  return [`${name}.${namespace}`, name];
}

function fill(template: string, service: ServiceName): string {
  return template
    .replaceAll('{name}', service.name)
    .replaceAll('{namespace}', service.namespace)
    .replaceAll('{port}', String(service.port));
}

function toUpstream(text: string): Upstream | undefined {
  // The URL class would silently drop or repair some parts (userinfo, path, query, blanks, backslashes). They
  // are refused here before.
  if (!/^https?:\/\/[^/\\?#@\s]+\/?$/i.test(text) || !URL.canParse(text)) return undefined;
  const { origin, host, port } = new URL(text);
  return port === '0' ? undefined : { origin, authority: host };
}
