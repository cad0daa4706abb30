import type { Place } from './place.js';

/**
 * The part of JSON Schema (draft-07) that the settings use. In every leaf, `description` says what the
 * setting does, and `default` is the value if it is absent. A leaf without a default is either optional and
 * off, or required by its section.
 */
export interface SettingSchema {
  readonly $schema?: string;
  readonly $id?: string;
  readonly title?: string;
  readonly description: string;
  readonly type?: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean';
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, SettingSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: false | Omit<SettingSchema, 'description'>;
  readonly items?: Omit<SettingSchema, 'description'>;
  readonly minItems?: number;
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly minLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
}

/**
 * One setting, or a section of settings. It is the single source for what the file may hold (the schema, from
 * which the documentation and the names of environment variables are made) and for what the gateway gets
 * (`T`).
 *
 * @typeParam T the type of what the gateway gets; it includes `undefined` if the setting may be absent and
 *   has no default
 */
export class Setting<T> {
  readonly schema: SettingSchema;
  /**
   * Converts the value of the file to the value that the gateway gets. It reports the errors that a schema
   * cannot express.
   *
   * @param value is valid by the schema; undefined if the file has no value
   */
  readonly settle: (value: unknown, place: Place) => T;
  /** Whether the setting's section requires it. */
  readonly isRequired: boolean;

  constructor(schema: SettingSchema, settle: (value: unknown, place: Place) => T, isRequired = false) {
    this.schema = schema;
    this.settle = settle;
    this.isRequired = isRequired;
  }

  /** Returns the same setting as a required one: its section is refused without it. */
  required(): Setting<Exclude<T, undefined>> {
    const settle = (value: unknown, place: Place) => {
      const settled = this.settle(value, place);
      // A section with a required setting must itself be required, or optional as a whole.
      if (settled === undefined) throw new TypeError(`${place.name} is required, and its section is not`);
      return settled as Exclude<T, undefined>;
    };
    return new Setting(this.schema, settle, true);
  }

  /**
   * Returns the same setting with one more check of its value. An absent value is not checked.
   *
   * @param look reports problems to the place
   */
  check(look: (value: Exclude<T, undefined>, place: Place) => void): Setting<T> {
    return this.as((value, place) => {
      look(value, place);
      return value;
    }) as Setting<T>;
  }

  /**
   * Returns the same setting, but the gateway gets another value than the file has. An absent value stays
   * absent.
   *
   * @param next converts the value, and reports problems to the place
   */
  as<U>(next: (value: Exclude<T, undefined>, place: Place) => U): Setting<U | Extract<T, undefined>> {
    const settle = (value: unknown, place: Place) => {
      const settled = this.settle(value, place);
      return settled === undefined
        ? (settled as Extract<T, undefined>)
        : next(settled as Exclude<T, undefined>, place);
    };
    return new Setting(this.schema, settle, this.isRequired);
  }
}

/** The type of what the gateway gets for a setting. */
export type Value<S> = S extends Setting<infer T> ? T : never;

/** The settings of a section, by name. */
type Properties = Readonly<Record<string, Setting<unknown>>>;

/**
 * The type of what the gateway gets for a section: one field for each setting. A field is optional if the
 * setting may be absent.
 */
export type Values<P extends Properties> = Flat<
  { readonly [K in keyof P as undefined extends Value<P[K]> ? never : K]: Value<P[K]> } & {
    readonly [K in keyof P as undefined extends Value<P[K]> ? K : never]?: Exclude<Value<P[K]>, undefined>;
  }
>;

type Flat<T> = { readonly [K in keyof T]: T[K] };

/**
 * A mapping that has these settings and no others. If the file does not have the mapping, its defaults apply.
 */
export function section<P extends Properties>(description: string, properties: P): Setting<Values<P>> {
  return new Setting({ description, ...mapping(properties) }, (value, place) =>
    settleAll(properties, value ?? {}, place),
  );
}

/** A mapping that is off if the file does not have it. */
export function optionalSection<P extends Properties>(
  description: string,
  properties: P,
): Setting<Values<P> | undefined> {
  return new Setting({ description, ...mapping(properties) }, (value, place) =>
    value === undefined ? undefined : settleAll(properties, value, place),
  );
}

/**
 * A list of mappings with these settings. It is empty if the file has none. It is one leaf, so one variable
 * sets it.
 */
export function entries<P extends Properties>(
  description: string,
  properties: P,
): Setting<readonly Values<P>[]> {
  const schema = { description, type: 'array', default: [], items: mapping(properties) } as const;
  return new Setting(schema, (value, place) =>
    ((value ?? schema.default) as readonly unknown[]).map((each, index) =>
      settleAll(properties, each, place.at(index)),
    ),
  );
}

function mapping(properties: Properties): Omit<SettingSchema, 'description'> {
  const all = Object.entries(properties);
  const required = all.filter(([, { isRequired }]) => isRequired).map(([key]) => key);
  return {
    type: 'object',
    additionalProperties: false,
    ...(required.length === 0 ? {} : { required }),
    properties: Object.fromEntries(all.map(([key, { schema }]) => [key, schema])),
  };
}

/** @param mapping is valid by the schema of the properties */
function settleAll<P extends Properties>(properties: P, mapping: unknown, place: Place): Values<P> {
  const given = mapping as Readonly<Record<string, unknown>>;
  const settled = Object.entries(properties).map(([key, setting]) => {
    const value = Object.hasOwn(given, key) ? given[key] : undefined;
    return [key, setting.settle(value, place.at(key))] as const;
  });
  // These are exactly the fields that `Values` derives from the same properties.
  return Object.fromEntries(settled.filter(([, value]) => value !== undefined)) as Values<P>;
}
