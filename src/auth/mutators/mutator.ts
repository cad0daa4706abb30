import type { Mutator } from '../../model/mutator.js';
import type { StrategyWarning } from '../../model/strategy.js';

/** The language of the values in a `config`: templates of Oathkeeper if undefined, or Envoy's `%COMMAND%`. */
export type Dialect = 'envoy';

/** A kind of mutator, registered in `table.ts`. */
export interface MutatorKind {
  readonly name: string;
  /** JSON Schema (draft-07) of its `config`. */
  readonly schema: Readonly<Record<string, unknown>>;
  /**
   * Compiles the mutator of one rule.
   *
   * @param config already valid against `schema`
   * @param dialect the language of its values
   * @returns undefined if the mutator changes nothing
   * @throws ConfigError if a value fits the schema but cannot work
   */
  compile(config: Readonly<Record<string, unknown>>, dialect?: Dialect): Mutator | undefined;
  /** Warnings about a configuration that works but is probably not intended. */
  warnings?(config: Readonly<Record<string, unknown>>, dialect?: Dialect): StrategyWarning[];
}
