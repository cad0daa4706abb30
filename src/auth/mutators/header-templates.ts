import { ConfigError } from '../../document/finding.js';
import { type Denial, denial } from '../../model/errors.js';
import { TOKEN } from '../../parse/grammar.js';
import { parseEnvoyFormat } from './envoy-format.js';
import type { Dialect } from './mutator.js';
import { parseTemplate, type Template, TemplateError } from './template.js';

/** A name and the template of its value. */
export type NamedTemplate = readonly [name: string, template: Template];

/**
 * Parses the templates of a mapping.
 *
 * @param at the mapping's name in the `config`
 * @param values name → template
 * @param dialect the language of the templates
 * @throws ConfigError for an invalid name or an unsupported template
 */
export function templates(
  at: string,
  values: Readonly<Record<string, string>>,
  dialect?: Dialect,
): NamedTemplate[] {
  const parse = dialect === 'envoy' ? parseEnvoyFormat : parseTemplate;
  return Object.entries(values).map(([name, text]) => {
    if (!TOKEN.test(name))
      throw new ConfigError([at, name], `"${name}" is not a valid name (RFC 9110 section 5.6.2)`);
    try {
      return [name, parse(text)] as const;
    } catch (error) {
      if (!(error instanceof TemplateError)) throw error;
      throw new ConfigError([at, name], error.message);
    }
  });
}

/**
 * Builds the refusal of a request for which a mutator made an invalid value. The request must not go on
 * without the value: the upstream would take an authenticated user for an anonymous one.
 *
 * @param what the field or cookie
 */
export function unsendable(what: string): Denial {
  return denial('internal', `the ${what} contains a character that cannot be sent`);
}
