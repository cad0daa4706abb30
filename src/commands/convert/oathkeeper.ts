import type { Finding } from '../../document/finding.js';
import type { Path, SourceDocument } from '../../document/yaml.js';
import { isObject, type JsonObject, membersOf } from '../../model/json.js';
import type { Strategy } from './glob.js';

/** The kinds of handlers that Oathkeeper can configure for all rules. */
export type Pipeline = 'authenticators' | 'authorizers' | 'mutators' | 'errors';

/**
 * What Oathkeeper's own configuration (`oathkeeper.yml`) says about rules: the `config` of handlers, which
 * handlers answer errors, how URLs match, and CORS.
 */
export class OathkeeperConfig {
  readonly #document: SourceDocument | undefined;

  /** @param document undefined if there is none: then each handler has only its own `config` */
  constructor(document?: SourceDocument) {
    this.#document = document;
  }

  /** The value at a path; undefined if there is none. */
  at(...path: Path): unknown {
    let value = this.#document?.value;
    for (const step of path) {
      if (typeof value !== 'object' || value === null) return undefined;
      value = (value as JsonObject)[step];
    }
    return value;
  }

  /** The mapping at a path; empty if there is none. */
  fields(...path: Path): JsonObject {
    return membersOf(this.at(...path));
  }

  /** `access_rules.matching_strategy`; undefined if it is not set. */
  get strategy(): Strategy | undefined {
    const said = this.at('access_rules', 'matching_strategy');
    return said === 'glob' || said === 'regexp' ? said : undefined;
  }

  /** The `config` that a handler has for all rules. */
  handler(pipeline: Pipeline, name: string): JsonObject {
    return pipeline === 'errors'
      ? this.fields('errors', 'handlers', name, 'config')
      : this.fields(pipeline, name, 'config');
  }

  /** Whether rules may use a handler. Oathkeeper's default is no. Without a configuration, nobody knows: yes. */
  isEnabled(pipeline: Pipeline, name: string): boolean {
    if (!this.isThere) return true;
    const path = pipeline === 'errors' ? ['errors', 'handlers', name] : [pipeline, name];
    return this.at(...path, 'enabled') === true;
  }

  /** A finding about a part of the configuration. */
  lost(path: Path, what: string): Finding {
    const position = this.#document?.at(path) ?? { file: '', line: 1, col: 1 };
    const message = `${path.join('.')}: not carried over: ${what}`;
    return { ...position, level: 'warning', code: 'not-carried-over', message };
  }

  get isThere(): boolean {
    return this.#document !== undefined;
  }
}

/** Merges a rule's own `config` into that of all rules. Mappings are merged; any other value is replaced. */
export function merged(general: JsonObject, own: JsonObject): Record<string, unknown> {
  const result: Record<string, unknown> = { ...general };
  for (const [name, value] of Object.entries(own)) {
    const before = result[name];
    result[name] = isObject(before) && isObject(value) ? merged(before, value) : value;
  }
  return result;
}

/** Whether a value is Oathkeeper's configuration and not a rule. */
export function isConfiguration(value: unknown): boolean {
  if (!isObject(value) || 'match' in value || 'kind' in value) return false;
  const { access_rules: rules, serve, authenticators } = value;
  return isObject(rules) || isObject(serve) || isObject(authenticators);
}
