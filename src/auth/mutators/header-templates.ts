import { ConfigError } from '../../document/finding.js';
import { type Denial, denial } from '../../model/errors.js';
import type { Session } from '../../model/mutator.js';
import { FIELD_VALUE, TOKEN } from '../../parse/grammar.js';
import { parseTemplate, renderText, type Template, TemplateError } from './template.js';

/** A name and the template of its value. */
export type NamedTemplate = readonly [name: string, template: Template];

/**
 * Parses the templates of a mapping.
 *
 * @param at the mapping's name in the `config`
 * @throws ConfigError for a template that is not served
 */
export function templates(at: string, values: Readonly<Record<string, string>>): NamedTemplate[] {
  return Object.entries(values).map(([name, text]) => {
    if (!TOKEN.test(name)) throw new ConfigError([at, name], `"${name}" is no name (RFC 9110 section 5.6.2)`);
    try {
      return [name, parseTemplate(text)] as const;
    } catch (error) {
      if (!(error instanceof TemplateError)) throw error;
      throw new ConfigError([at, name], error.message);
    }
  });
}

/**
 * Writes a value out, or undefined where it could not stand in a header field (RFC 9110 §5.5).
 */
export function fieldValue(template: Template, session: Session): string | undefined {
  const value = renderText(template, session);
  return FIELD_VALUE.test(value) ? value : undefined;
}

/** The refusal of a request whose value cannot be sent: without it the upstream would take somebody for nobody. */
export function unsendable(what: string): Denial {
  return denial('internal', `the ${what} holds a character that cannot be sent`);
}
