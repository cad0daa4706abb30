/** A value in a handler's or mutator's `config` that fits the schema and cannot work, with its path inside `config`. */
export class ConfigError extends Error {
  readonly path: readonly (string | number)[];
  constructor(path: readonly (string | number)[], message: string) {
    super(message);
    this.name = 'ConfigError';
    this.path = path;
  }
}
