import { ConfigError } from '../../document/finding.js';
import type { ErrorHandler } from '../../model/error-handler.js';
import type { Fields } from '../../parse/fields.js';
import { redirect, redirectProperties } from './redirect.js';

const texts = { type: 'array', minItems: 1, items: { type: 'string', minLength: 1 } } as const;

/** The errors that a handler can select, by Oathkeeper's names, with their status. */
const STATUS: Readonly<Record<string, number>> = { unauthorized: 401, forbidden: 403 };

const when = {
  type: 'array',
  minItems: 1,
  items: {
    type: 'object',
    additionalProperties: false,
    properties: {
      error: { type: 'array', minItems: 1, items: { enum: Object.keys(STATUS) } },
      request: {
        type: 'object',
        additionalProperties: false,
        properties: {
          header: {
            type: 'object',
            additionalProperties: false,
            properties: { accept: texts, content_type: texts },
          },
        },
      },
    },
  },
} as const;

/** JSON Schema of a rule's `errors`. */
export const errorHandlersSchema = {
  type: 'array',
  minItems: 1,
  items: {
    type: 'object',
    additionalProperties: false,
    required: ['handler'],
    properties: {
      handler: { enum: ['json', 'redirect', 'www_authenticate'] },
      config: {
        type: ['object', 'null'],
        additionalProperties: false,
        properties: { ...redirectProperties, realm: { type: 'string', minLength: 1 }, when },
      },
    },
  },
} as const;

/** The fields of `config` that each handler has, in addition to `when`. */
const FIELDS: Readonly<Record<string, readonly string[]>> = {
  json: [],
  redirect: Object.keys(redirectProperties),
  www_authenticate: ['realm'],
};

interface When {
  readonly error?: readonly string[];
  readonly request?: {
    readonly header?: { readonly accept?: readonly string[]; readonly content_type?: readonly string[] };
  };
}

/**
 * Compiles an entry of a rule's `errors`: Oathkeeper's error handlers `json`, `redirect` and
 * `www_authenticate`. They apply to 401 and 403 only, so a failure of a server is always answered as such.
 *
 * @param entry valid by {@link errorHandlersSchema}
 * @throws ConfigError with a path below the entry
 */
export function compileErrorHandler(entry: {
  readonly handler: string;
  readonly config?: Readonly<Record<string, unknown>> | null;
}): ErrorHandler {
  const { handler } = entry;
  const config = entry.config ?? {};
  for (const field of Object.keys(config)) {
    if (field !== 'when' && FIELDS[handler]?.includes(field) !== true) {
      throw new ConfigError(['config', field], `the error handler ${handler} has no such field`);
    }
  }
  const conditions = config.when as readonly When[] | undefined;
  const handles = (status: number, fields: Fields): boolean =>
    Object.values(STATUS).includes(status) &&
    (conditions === undefined || conditions.some((each) => meets(each, status, fields)));
  if (handler === 'json') return { handler, handles, answer: () => undefined };
  if (handler === 'redirect') return { handler, handles, answer: redirect(config) };
  const realm = (config.realm as string | undefined) ?? 'Please authenticate.';
  if (!/^[\x20-\x21\x23-\x5b\x5d-\x7e]*$/.test(realm)) {
    throw new ConfigError(['config', 'realm'], 'must be printable ASCII without " and \\');
  }
  const answer = { code: 401, authenticate: `Basic realm="${realm}"` } as const;
  return { handler, handles, answer: () => answer };
}

function meets({ error, request }: When, status: number, fields: Fields): boolean {
  if (error !== undefined && !error.some((name) => STATUS[name] === status)) return false;
  const { accept, content_type: contentType } = request?.header ?? {};
  return (
    (accept === undefined || matchesType(listOf(fields, 'accept'), accept)) &&
    (contentType === undefined || matchesType(fields.contentType, contentType))
  );
}

/** A field's values, as one list. */
function listOf({ names, raw }: Fields, name: string): string | undefined {
  const values = names.flatMap((each, index) => (each === name ? [raw[index * 2 + 1] as string] : []));
  return values.length === 0 ? undefined : values.join(',');
}

/**
 * Whether one of a request's media types matches one of a handler's. A range in the handler matches all types
 * in it. A range in the request, such as the `*∕*` of curl and fetch, matches only the same range in the
 * handler, because such a client states no preference.
 *
 * @param value of Accept or Content-Type; Oathkeeper assumes `application/octet-stream` if there is none
 */
function matchesType(value: string | undefined, wanted: readonly string[]): boolean {
  const asked = (value ?? 'application/octet-stream').split(',').flatMap((element) => {
    const [type = '', ...parameters] = element.split(';').map((part) => part.trim().toLowerCase());
    return parameters.some((parameter) => /^q=0(?:\.0*)?$/.test(parameter)) ? [] : [type];
  });
  return wanted.some((each) => {
    const [type = ''] = each.trim().toLowerCase().split(';');
    if (type === '*/*') return true;
    if (type.endsWith('/*')) return asked.some((one) => one.startsWith(type.slice(0, -1)));
    return asked.includes(type.trim());
  });
}
