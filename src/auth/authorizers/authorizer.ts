import type { Mutator } from '../../model/mutator.js';
import type { StrategyWarning } from '../../model/strategy.js';

/**
 * A kind of authorizer: it may refuse a request that an access strategy has allowed. It runs before the rule's
 * mutators and sees the same session.
 */
export interface AuthorizerKind {
  readonly name: string;
  /** JSON Schema (draft-07) of its `config`. */
  readonly schema: Readonly<Record<string, unknown>>;
  /**
   * Compiles the authorizer of one rule.
   *
   * @param config already valid against `schema`
   * @returns undefined if it refuses nothing
   * @throws ConfigError if a value fits the schema but cannot work
   */
  compile(config: Readonly<Record<string, unknown>>): Mutator | undefined;
  /** Warnings about a configuration that works but is probably not intended. */
  warnings?(config: Readonly<Record<string, unknown>>): StrategyWarning[];
}
