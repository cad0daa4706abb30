import { mutators } from '../../auth/mutators/table.js';
import { ConfigError, type Finding } from '../../document/finding.js';
import { nearest } from '../../document/nearest.js';
import { validate } from '../../document/validate.js';
import type { Path, SourceDocument } from '../../document/yaml.js';
import type { Mutator } from '../../model/mutator.js';
import type { HandlerEntry } from './access-strategies.js';

/** What mutators `id_token` get where a rule does not say it. */
export interface IdTokenDefaults {
  readonly issuerUrl: string;
  readonly jwksUrl: string;
}

/**
 * Takes `x-forwarded-host` out of a rule's mutators where it is the rule's own host: scopegate sends it anyway.
 *
 * @param hosts the rule's; undefined if they are not known, and then any value is taken out
 * @returns the mutators in the same places, and the places of what was taken out, below the list
 */
export function withoutOwnHost(
  entries: readonly HandlerEntry[],
  hosts: readonly string[] | undefined,
): { entries: HandlerEntry[]; removed: Path[] } {
  const removed: Path[] = [];
  const kept = entries.map((entry, index): HandlerEntry => {
    const headers = entry.handler === 'header' ? entry.config?.headers : undefined;
    if (typeof headers !== 'object' || headers === null || Array.isArray(headers)) return entry;
    const others = Object.entries(headers).filter(([name, value]) => {
      const own =
        name.toLowerCase() === 'x-forwarded-host' &&
        (hosts === undefined || (hosts.length === 1 && String(value).toLowerCase() === hosts[0]));
      if (own) removed.push([index, 'config', 'headers', name]);
      return !own;
    });
    if (others.length === Object.keys(headers).length) return entry;
    if (others.length === 0) return { handler: 'noop' };
    return { ...entry, config: { ...entry.config, headers: Object.fromEntries(others) } };
  });
  return { entries: kept, removed };
}

/** Fills in what the settings say for mutators `id_token` that do not. */
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
 * Compiles a rule's mutators.
 *
 * @param base the path of the `mutators` in the document
 * @param entries valid by the rule's schema, their `config` not yet checked
 */
export function compileMutators(
  document: SourceDocument,
  base: Path,
  entries: readonly HandlerEntry[],
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
    findings.push(
      ...violations.map((violation) =>
        entry.handler === 'id_token' && violation.code === 'missing-field'
          ? {
              ...violation,
              message: `${violation.message}; the setting kyma.idToken is for all rules without`,
            }
          : violation,
      ),
    );
    if (violations.length > 0) return;
    try {
      const mutator = kind.compile(config);
      if (mutator !== undefined) compiled.push(mutator);
    } catch (problem) {
      if (!(problem instanceof ConfigError)) throw problem;
      error([...at, ...problem.path], 'invalid-value', problem.message);
    }
  });
  return { mutators: compiled, findings };
}
