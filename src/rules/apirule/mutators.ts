import { namesCertificate } from '../../auth/mutators/envoy-format.js';
import { mutators } from '../../auth/mutators/table.js';
import { ConfigError, type Finding } from '../../document/finding.js';
import { nearest } from '../../document/nearest.js';
import { validate } from '../../document/validate.js';
import type { Path, SourceDocument } from '../../document/yaml.js';
import { isObject, textOf } from '../../model/json.js';
import type { Mutator } from '../../model/mutator.js';
import type { HandlerEntry } from './access-strategies.js';

/** Defaults for `id_token` mutators, for rules that do not set them. */
export interface IdTokenDefaults {
  readonly issuerUrl: string;
  readonly jwksUrl: string;
}

/**
 * Removes `x-forwarded-host` from a rule's mutators if its value is the rule's own host, because scopegate
 * sends this field anyway.
 *
 * @param hosts the hosts of the rule; if undefined, they are not known, and the field is removed with any
 *   value
 * @returns the mutators at the same indexes, and the paths of the removed values, relative to the list
 */
export function withoutOwnHost(
  entries: readonly HandlerEntry[],
  hosts: readonly string[] | undefined,
): { entries: HandlerEntry[]; removed: Path[] } {
  const removed: Path[] = [];
  const kept = entries.map((entry, index): HandlerEntry => {
    const headers = entry.handler === 'header' ? entry.config?.headers : undefined;
    if (!isObject(headers)) return entry;
    const others = Object.entries(headers).filter(([name, value]) => {
      const own =
        name.toLowerCase() === 'x-forwarded-host' &&
        (hosts === undefined || (hosts.length === 1 && textOf(value).toLowerCase() === hosts[0]));
      if (own) removed.push([index, 'config', 'headers', name]);
      return !own;
    });
    if (others.length === Object.keys(headers).length) return entry;
    if (others.length === 0) return { handler: 'noop' };
    return { ...entry, config: { ...entry.config, headers: Object.fromEntries(others) } };
  });
  return { entries: kept, removed };
}

/** Fills in the defaults from the settings for `id_token` mutators that do not set them. */
export function withIdTokenDefaults(
  entries: readonly HandlerEntry[],
  defaults: IdTokenDefaults | undefined,
): readonly HandlerEntry[] {
  if (defaults === undefined) return entries;
  return entries.map((entry) =>
    entry.handler === 'id_token'
      ? {
          ...entry,
          config: { issuer_url: defaults.issuerUrl, jwks_url: defaults.jwksUrl, ...entry.config },
        }
      : entry,
  );
}

/**
 * Compiles the mutators of a rule.
 *
 * @param base the path of the `mutators` in the document
 * @param entries are valid by the rule's schema; their `config` is not checked yet
 * @param certificates whether clients' certificates can reach the gateway
 */
export function compileMutators(
  document: SourceDocument,
  base: Path,
  entries: readonly HandlerEntry[],
  certificates: boolean,
): { mutators: Mutator[]; findings: Finding[] } {
  const findings: Finding[] = [];
  const compiled: Mutator[] = [];
  entries.forEach((entry, index) => {
    const path = [...base, index];
    const error = (place: Path, code: string, problem: string): void => {
      const message = `${place.join('.')}: ${problem}`;
      findings.push({ ...document.at(place), level: 'error', code, message });
    };
    const kind = mutators.get(entry.handler);
    if (kind === undefined) {
      const hint = nearest(entry.handler, mutators.keys());
      const more = hint === undefined ? '' : `; did you mean "${hint}"?`;
      error([...path, 'handler'], 'unknown-mutator', `no mutator is called "${entry.handler}"${more}`);
      return;
    }
    const config = entry.config ?? {};
    const at = entry.config === undefined || entry.config === null ? path : [...path, 'config'];
    const violations = validate(document, kind.schema, at, config);
    findings.push(...violations);
    if (violations.length > 0) return;
    try {
      const mutator = kind.compile(config, entry.dialect);
      if (mutator !== undefined) compiled.push(mutator);
      if (!certificates) findings.push(...withoutCertificate(document, at, entry));
      for (const { path: below, code, message } of kind.warnings?.(config, entry.dialect) ?? []) {
        const place = [...at, ...below];
        findings.push({
          ...document.at(place),
          level: 'warning',
          code,
          message: `${place.join('.')}: ${message}`,
        });
      }
    } catch (problem) {
      if (!(problem instanceof ConfigError)) throw problem;
      error([...at, ...problem.path], 'invalid-value', problem.message);
    }
  });
  return { mutators: compiled, findings };
}

/** Warns, once for an entry, of a value that is about the client's certificate, which scopegate never gets. */
function withoutCertificate(
  document: SourceDocument,
  at: Path,
  { config, dialect }: HandlerEntry,
): Finding[] {
  if (dialect !== 'envoy') return [];
  for (const [field, values] of Object.entries(config ?? {})) {
    for (const [name, text] of Object.entries(values as Readonly<Record<string, string>>)) {
      if (!namesCertificate(text)) continue;
      const path = [...at, field, name];
      const message =
        `${path.join('.')}: stays empty, because no verified client certificate comes here: set ` +
        'listen.proxy.tls.clientCertificates to required, with clientCa; or proof.certificateField, behind a proxy that ends TLS';
      return [{ ...document.at(path), level: 'warning', code: 'no-client-certificate', message }];
    }
  }
  return [];
}
