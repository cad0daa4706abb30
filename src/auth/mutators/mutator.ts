import type { Mutator } from '../../model/mutator.js';

/** A kind of mutator, registered in `table.ts`. */
export interface MutatorKind {
  readonly name: string;
  /** JSON Schema (draft-07) of its `config`. */
  readonly schema: Readonly<Record<string, unknown>>;
  /**
   * @param config already valid against `schema`
   * @returns undefined for one that changes nothing
   * @throws ConfigError when a value fits the schema and cannot work
   */
  compile(config: Readonly<Record<string, unknown>>): Mutator | undefined;
}
