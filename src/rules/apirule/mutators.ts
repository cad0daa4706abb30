import { chain } from '../../auth/mutators/chain.js';
import { mutators } from '../../auth/mutators/table.js';
import { ConfigError, type Finding } from '../../document/finding.js';
import { nearest } from '../../document/nearest.js';
import { validate } from '../../document/validate.js';
import type { Path, SourceDocument } from '../../document/yaml.js';
import type { Mutator, MutatorChain } from '../../model/mutator.js';
import type { HandlerEntry } from './access-strategies.js';

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
): { mutators: MutatorChain | undefined; findings: Finding[] } {
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
      const mutator = kind.compile(config);
      if (mutator !== undefined) compiled.push(mutator);
    } catch (problem) {
      if (!(problem instanceof ConfigError)) throw problem;
      error([...at, ...problem.path], 'invalid-value', problem.message);
    }
  });
  return { mutators: chain(compiled), findings };
}
