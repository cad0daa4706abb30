import type { Mutator } from '../../model/mutator.js';
import type { StrategyWarning } from '../../model/strategy.js';

/** A kind of mutator, registered in `table.ts`. */
export interface MutatorKind {
  readonly name: string;
  /** JSON Schema (draft-07) of its `config`. */
  readonly schema: Readonly<Record<string, unknown>>;
  /**
   * Compiles the mutator of one rule.
   *
   * @param config already valid against `schema`
   * @returns undefined if the mutator changes nothing
   * @throws ConfigError if a value fits the schema but cannot work
   */
  compile(config: Readonly<Record<string, unknown>>): Mutator | undefined;
  /** Warnings about a configuration that works but is probably not intended. */
  warnings?(config: Readonly<Record<string, unknown>>): StrategyWarning[];
}
