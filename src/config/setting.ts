import type { Place } from './place.js';

/**
 * The part of JSON Schema (draft-07) that the settings use. Every leaf says in `description` what it does and in
 * `default` what holds where it is absent; a leaf without a default is optional and off, or required by its section.
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
 * One setting, or a section of them. It is the only place that says what may stand in the file (the schema, from
 * which the documentation and the environment's names come) and what the gateway gets of it (`T`).
 *
 * @typeParam T what the gateway gets; with `undefined` where the setting may be absent and has no default
 */
export class Setting<T> {
  readonly schema: SettingSchema;
  /**
   * Turns what the file has into what the gateway gets, and reports what no schema can say.
   *
   * @param value fits the schema; undefined where the file has none
   */
  readonly settle: (value: unknown, place: Place) => T;
  /** Whether its section must have it. */
  readonly isRequired: boolean;

  constructor(schema: SettingSchema, settle: (value: unknown, place: Place) => T, isRequired = false) {
    this.schema = schema;
    this.settle = settle;
    this.isRequired = isRequired;
  }

  /** The same, without which its section is refused. */
  required(): Setting<Exclude<T, undefined>> {
    const settle = (value: unknown, place: Place) => {
      const settled = this.settle(value, place);
      // A section with a required setting is optional as a whole, or required itself.
      if (settled === undefined) throw new TypeError(`${place.name} is required, and its section is not`);
      return settled as Exclude<T, undefined>;
    };
    return new Setting(this.schema, settle, true);
  }

  /**
   * The same, with one more check of its value; an absent one is not checked.
   *
   * @param look reports to the place what is wrong
   */
  check(look: (value: Exclude<T, undefined>, place: Place) => void): Setting<T> {
    return this.as((value, place) => {
      look(value, place);
      return value;
    }) as Setting<T>;
  }

  /**
   * The same setting, of which the gateway gets something else than the file has.
   *
   * @param next makes it; reports to the place what is wrong. What is absent stays so
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

/** What the gateway gets of a setting. */
export type Value<S> = S extends Setting<infer T> ? T : never;

/** The settings of a section by their names. */
type Properties = Readonly<Record<string, Setting<unknown>>>;

/** What the gateway gets of a section: a field for each setting, optional where it may be absent. */
export type Values<P extends Properties> = Flat<
  { readonly [K in keyof P as undefined extends Value<P[K]> ? never : K]: Value<P[K]> } & {
    readonly [K in keyof P as undefined extends Value<P[K]> ? K : never]?: Exclude<Value<P[K]>, undefined>;
  }
>;

type Flat<T> = { readonly [K in keyof T]: T[K] };

/** A mapping with these settings and no others. Where the file does not have it, its defaults hold. */
export function section<P extends Properties>(description: string, properties: P): Setting<Values<P>> {
  return new Setting({ description, ...mapping(properties) }, (value, place) =>
    settleAll(properties, value ?? {}, place),
  );
}

/** A mapping that is off where the file does not have it. */
export function optionalSection<P extends Properties>(
  description: string,
  properties: P,
): Setting<Values<P> | undefined> {
  return new Setting({ description, ...mapping(properties) }, (value, place) =>
    value === undefined ? undefined : settleAll(properties, value, place),
  );
}

/** A list of mappings with these settings, empty where the file has none. It is one leaf: one variable sets it. */
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

/** @param mapping fits the schema of the properties */
function settleAll<P extends Properties>(properties: P, mapping: unknown, place: Place): Values<P> {
  const given = mapping as Readonly<Record<string, unknown>>;
  const settled = Object.entries(properties).map(([key, setting]) => {
    const value = Object.hasOwn(given, key) ? given[key] : undefined;
    return [key, setting.settle(value, place.at(key))] as const;
  });
  // The very fields that `Values` derives from the same properties.
  return Object.fromEntries(settled.filter(([, value]) => value !== undefined)) as Values<P>;
}
