import type { SourceDocument } from '../document/yaml.js';
import { memberAt } from '../model/json.js';
import { leaves, type SettingSchema, settingsSchema } from './schema.js';

/** One setting in force, as people read it. */
export interface SettingInForce {
  /** Its path in the settings file: `introspection.timeout`. */
  readonly name: string;
  /** As the file or the variable has it, or the default; `[secret]` in place of what is secret. */
  readonly value: unknown;
  /** Where it was written, `file:line:col` or `env:NAME`; absent for a default. */
  readonly source?: string;
}

const SECRET = '[secret]';

/**
 * Lists the settings that are in force, as a person would write them. Settings that are absent and have no default are
 * left out, and so are the defaults inside an optional section that is absent, because that section is off.
 *
 * @param document the settings file with the environment's values; valid by the schema
 */
export function settingsInForce({ value, at }: SourceDocument): SettingInForce[] {
  return leaves().flatMap(({ path, schema }) => {
    const written = memberAt(value, path);
    if (written === undefined) {
      if (schema.default === undefined || isInAbsentSection(value, path)) return [];
      return [{ name: path.join('.'), value: masked(schema.default, path) }];
    }
    const { file, line, col } = at(path);
    const source = file.startsWith('env:') ? file : `${file}:${line}:${col}`;
    return [{ name: path.join('.'), value: masked(written, path), source }];
  });
}

/** A section that requires some of its settings is off if the file does not have it. */
function isInAbsentSection(value: unknown, path: readonly string[]): boolean {
  let schema: SettingSchema | undefined = settingsSchema;
  return path.some((step, depth) => {
    schema = schema?.properties?.[step];
    return schema?.required !== undefined && memberAt(value, path.slice(0, depth + 1)) === undefined;
  });
}

/** Names of settings that hold a secret itself, and not the name of a file with it. */
const SECRET_NAME = /(?:secret|password|passphrase|token|credential)s?$/i;

/** The value with `[secret]` in place of each secret in it, whatever its depth. */
function masked(value: unknown, path: readonly string[]): unknown {
  if (typeof value === 'string') return isSecret(path) ? SECRET : maskedUrl(value);
  if (Array.isArray(value)) return value.map((each) => masked(each, path));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, masked(each, [...path, key])]));
}

/** Header fields that scopegate sends to another server may be its credentials, whatever their names. */
function isSecret(path: readonly string[]): boolean {
  return SECRET_NAME.test(path.at(-1) ?? '') || path.slice(0, -1).some((name) => /headers/i.test(name));
}

/** A URL without its user and query, where people put keys. */
function maskedUrl(text: string): string {
  return text
    .replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/?#]*@/i, `$1${SECRET}@`)
    .replace(/^([a-z][a-z0-9+.-]*:\/\/[^?]*)\?.*$/is, `$1?${SECRET}`);
}
