import { accessSync, constants } from 'node:fs';
import { DURATION_PATTERN, POSITIVE_DURATION_PATTERN, parseDuration } from '../model/duration.js';
import type { Place } from './place.js';
import { rereading } from './reread.js';
import { readSecret, Secret } from './secret.js';
import { Setting, type SettingSchema } from './setting.js';

/** @typeParam T the type of the values that are valid by the schema */
function leaf<T>(schema: SettingSchema): Setting<T> {
  return new Setting(schema, (value) => (value ?? schema.default) as T);
}

/** A string that is not empty. It is optional if there is no fallback. */
export function text(description: string): Setting<string | undefined>;
export function text(description: string, fallback: string): Setting<string>;
export function text(description: string, fallback?: string): Setting<string | undefined> {
  return leaf({
    description,
    type: 'string',
    minLength: 1,
    ...(fallback === undefined ? {} : { default: fallback }),
  });
}

/** A whole number from `minimum` to `maximum`. */
export function integer(
  description: string,
  fallback: number,
  minimum = 0,
  maximum = 2_147_483_647,
): Setting<number> {
  return leaf({ description, type: 'integer', minimum, maximum, default: fallback });
}

/** A number from 0 to 1. */
export function share(description: string, fallback: number): Setting<number> {
  return leaf({ description, type: 'number', minimum: 0, maximum: 1, default: fallback });
}

/** A boolean. It is optional if there is no fallback. */
export function flag(description: string): Setting<boolean | undefined>;
export function flag(description: string, fallback: boolean): Setting<boolean>;
export function flag(description: string, fallback?: boolean): Setting<boolean | undefined> {
  return leaf({ description, type: 'boolean', ...(fallback === undefined ? {} : { default: fallback }) });
}

/** One of several words. It is optional if there is no fallback. */
export function choice<const V extends string>(
  description: string,
  values: readonly V[],
): Setting<V | undefined>;
export function choice<const V extends string>(
  description: string,
  values: readonly V[],
  fallback: NoInfer<V>,
): Setting<V>;
export function choice(
  description: string,
  values: readonly string[],
  fallback?: string,
): Setting<string | undefined> {
  return leaf({ description, enum: values, ...(fallback === undefined ? {} : { default: fallback }) });
}

/** A duration. The gateway gets it in milliseconds. */
export function duration(description: string, fallback: string): Setting<number> {
  return durationLeaf({
    description,
    title: 'a duration such as 500ms, 2s, 5m or 1h',
    type: 'string',
    pattern: DURATION_PATTERN,
    default: fallback,
  });
}

/**
 * A duration that is a limit. It must not be 0, because for a timer 0 means "no limit" instead of "at once".
 */
export function limit(description: string, fallback: string): Setting<number> {
  return durationLeaf({
    description,
    title: 'a duration above zero such as 500ms, 2s, 5m or 1h',
    type: 'string',
    pattern: POSITIVE_DURATION_PATTERN,
    default: fallback,
  });
}

function durationLeaf(schema: SettingSchema): Setting<number> {
  return leaf<string>(schema).as((written, place) => {
    const milliseconds = parseDuration(written);
    if (milliseconds === undefined) place.problem('must be shorter than 24 days');
    return milliseconds ?? Number.NaN;
  });
}

/** A map of strings, whose keys the author of the file chooses. */
export function map(
  description: string,
  fallback: Readonly<Record<string, string>>,
): Setting<Readonly<Record<string, string>>> {
  return leaf({ description, type: 'object', additionalProperties: { type: 'string' }, default: fallback });
}

/** A list of strings. If there is no fallback, it is optional, but must not be empty. */
export function list(description: string): Setting<readonly string[] | undefined>;
export function list(description: string, fallback: readonly string[]): Setting<readonly string[]>;
export function list(
  description: string,
  fallback?: readonly string[],
): Setting<readonly string[] | undefined> {
  return leaf({
    description,
    type: 'array',
    items: { type: 'string', minLength: 1 },
    ...(fallback === undefined ? { minItems: 1 } : { default: fallback }),
  });
}

/** Makes a check of a list out of a check of one item. */
export function each<T>(look: (item: T, place: Place) => void): (items: readonly T[], place: Place) => void {
  return (items, place) => {
    items.forEach((item, index) => {
      look(item, place.at(index));
    });
  };
}

/**
 * The name of a file. The gateway gets a path that the process can open; the code that uses the path opens
 * the file.
 */
export function path(description: string): Setting<string | undefined> {
  return text(description).as((name, place) => place.resolve(name));
}

/** The name of a file that the process can read. The gateway gets a path that the process can open. */
export function file(description: string): Setting<string | undefined> {
  return path(description).check((name, place) => {
    try {
      accessSync(name, constants.R_OK);
    } catch (error) {
      place.unreadable(name, error);
    }
  });
}

/** The name of a file that holds a secret. The gateway gets the secret. */
export function secretFile(description: string): Setting<Secret | undefined> {
  return path(description).as(openSecret);
}

/**
 * Opens a file that holds a secret.
 *
 * @param place where an error is reported if the file cannot be used
 * @returns an empty secret if the file cannot be used
 */
export function openSecret(name: string, place: Place): Secret {
  try {
    return readSecret(name);
  } catch (error) {
    place.unreadable(name, error);
    return new Secret('');
  }
}

/**
 * Opens a file that is read again whenever it has changed.
 *
 * @param place where an error is reported if the file cannot be used
 * @param read throws an Error whose message quotes nothing from the file
 * @param instead makes the value that is used if the file cannot be used
 */
export function openFile<T>(
  name: string,
  place: Place,
  read: (name: string) => T,
  instead: () => T,
): () => T {
  try {
    return rereading([name], () => read(name));
  } catch (error) {
    place.unreadable(name, error);
    return instead;
  }
}
