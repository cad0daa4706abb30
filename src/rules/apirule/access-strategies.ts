import type { Dialect } from '../../auth/mutators/mutator.js';
import type { HandlerDefaults } from '../../auth/strategies/strategy.js';
import { handlers } from '../../auth/strategies/table.js';
import { ConfigError, type Finding } from '../../document/finding.js';
import { nearest } from '../../document/nearest.js';
import { validate } from '../../document/validate.js';
import type { Path, SourceDocument } from '../../document/yaml.js';
import type { AccessStrategy } from '../../model/strategy.js';
import { type AnalysisBudget, UNLIMITED } from '../budget.js';
import { slowClaims } from './claims.js';

/** A handler as a rule names it. */
export interface HandlerEntry {
  readonly handler: string;
  readonly config?: Readonly<Record<string, unknown>> | null;
  /** The language of the values in a mutator's `config`. No rule can set it. */
  readonly dialect?: Dialect;
}

/**
 * Handlers that decide alone: a second handler after them would never be called. Kyma does not allow one
 * either.
 */
const EXCLUSIVE: ReadonlySet<string> = new Set(['allow', 'no_auth', 'noop']);

const ANONYMOUS = 'anonymous';

/** Handlers that check no credential. Next to a handler that does, they would make it useless. */
const OPEN: ReadonlySet<string> = new Set(['allow', 'no_auth', 'noop', 'unauthorized', 'anonymous']);

/**
 * Compiles the access strategies of a rule.
 *
 * @param base the path of the `accessStrategies` in the document
 * @param entries are valid by the rule's schema; their `config` is not checked yet
 * @param budget the limits for the analysis of patterns in `claims`
 */
export function compileAccess(
  document: SourceDocument,
  base: Path,
  entries: readonly HandlerEntry[],
  defaults: HandlerDefaults,
  budget: AnalysisBudget = UNLIMITED,
): { strategies: AccessStrategy[]; findings: Finding[] } {
  const findings: Finding[] = combination(document, base, entries);
  const strategies: AccessStrategy[] = [];
  entries.forEach((entry, index) => {
    const path = [...base, index];
    const handler = handlers.get(entry.handler);
    if (handler === undefined) {
      findings.push(unknown(document, [...path, 'handler'], entry.handler));
      return;
    }
    const config = entry.config ?? {};
    const at = entry.config === undefined || entry.config === null ? path : [...path, 'config'];
    const violations = validate(document, handler.schema, at, config);
    findings.push(...violations);
    if (violations.length > 0) return;
    try {
      const strategy = handler.compile(config, defaults);
      strategies.push(strategy);
      for (const { path: below, code, message } of strategy.warnings ?? []) {
        const place = [...at, ...below];
        findings.push({
          ...document.at(place),
          level: 'warning',
          code,
          message: `${place.join('.')}: ${message}`,
        });
      }
      findings.push(...slowClaims(document, [...at, 'claims'], config.claims, budget));
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      const place = [...at, ...error.path];
      const message = `${place.join('.')}: ${error.message}`;
      findings.push({ ...document.at(place), level: 'error', code: 'invalid-value', message });
    }
  });
  return { strategies, findings };
}

function unknown(document: SourceDocument, path: Path, name: string): Finding {
  const hint = nearest(name, handlers.keys());
  const message = `${path.join('.')}: no handler is called "${name}"${hint === undefined ? '' : `; did you mean "${hint}"?`}`;
  return { ...document.at(path), level: 'error', code: 'unknown-handler', message };
}

/**
 * Finds a combination of handlers that is not allowed in one rule, at most one finding per rule. A handler
 * that lets everyone in would make every other handler useless. `anonymous` may come last: as in Oathkeeper,
 * it then handles the requests that carry no credential for the handlers before it.
 */
function combination(document: SourceDocument, base: Path, entries: readonly HandlerEntry[]): Finding[] {
  if (entries.length < 2) return [];
  const names = entries.map(({ handler }) => handler);
  const exclusive = names.findIndex((name) => EXCLUSIVE.has(name));
  const guarded = names.some((name) => !OPEN.has(name) && handlers.has(name));
  const last = names.length - 1;
  const open = names.findIndex((name, index) => OPEN.has(name) && !(name === ANONYMOUS && index === last));
  const index = exclusive >= 0 ? exclusive : guarded ? open : -1;
  if (index < 0) return [];
  const path = [...base, index, 'handler'];
  const what =
    exclusive < 0 && names[index] === ANONYMOUS
      ? 'anonymous must be the last handler: it accepts every request without a credential, so such a request would never reach the handlers after it'
      : `${names[index]} cannot be combined ${exclusive >= 0 ? 'with any other handler' : 'with a handler that checks a credential'} in one rule`;
  const message = `${path.join('.')}: ${what}`;
  return [{ ...document.at(path), level: 'error', code: 'handler-combination', message }];
}
