import { ConfigError } from '../../document/finding.js';
import { encodeCharacters } from '../../model/field-encoding.js';
import { templates } from './header-templates.js';
import type { MutatorKind } from './mutator.js';
import { renderField } from './template.js';

/** Fields that frame the message, belong to its connection, or that scopegate sets itself, in lower case. */
export const REFUSED =
  /^(connection|content-length|cookie|expect|forwarded|host|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|via|x-forwarded-.*|x-request-id)$/;

/** Oathkeeper's `header` mutator: sets header fields from templates. */
export const header: MutatorKind = {
  name: 'header',
  schema: {
    type: 'object',
    additionalProperties: false,
    required: ['headers'],
    properties: {
      headers: {
        type: 'object',
        additionalProperties: { type: 'string' },
      },
    },
  },
  compile(config, dialect) {
    const entries = templates('headers', config.headers as Record<string, string>, dialect);
    const seen = new Set<string>();
    for (const [name, { parts }] of entries) {
      if (parts.some((part) => typeof part === 'string' && encodeCharacters(part, 'utf-8') === undefined)) {
        throw new ConfigError(
          ['headers', name],
          `the value of ${name} holds a control character, such as a line break: a header field cannot; remove it`,
        );
      }
      const lower = name.toLowerCase();
      if (REFUSED.test(lower)) {
        const more = lower === 'cookie' ? '; use the mutator cookie for cookies' : '; remove it here';
        throw new ConfigError(
          ['headers', name],
          `a rule cannot set ${name}: scopegate sets it itself${more}`,
        );
      }
      if (seen.has(lower)) throw new ConfigError(['headers', name], `${name} is given twice`);
      seen.add(lower);
    }
    return {
      headers: entries.map(([name]) => name),
      cookies: [],
      keys: [],
      mutate(session) {
        for (const [name, template] of entries) {
          const value = renderField(template, session);
          // Envoy sends no field whose value is empty.
          if (value === '' && dialect === 'envoy') continue;
          session.headers.set(name.toLowerCase(), [name, value]);
        }
        return undefined;
      },
    };
  },
};
