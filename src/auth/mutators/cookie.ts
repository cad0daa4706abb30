import { ConfigError } from '../../document/finding.js';
import { cookieKey } from '../../parse/cookies.js';
import { fieldValue, templates, unsendable } from './header-templates.js';
import type { MutatorKind } from './mutator.js';

/** Oathkeeper's `cookie` mutator: sets cookies from templates and keeps the client's other cookies. */
export const cookie: MutatorKind = {
  name: 'cookie',
  schema: {
    type: 'object',
    additionalProperties: false,
    required: ['cookies'],
    properties: {
      cookies: {
        type: 'object',
        additionalProperties: { type: 'string' },
      },
    },
  },
  compile(config) {
    const entries = templates('cookies', config.cookies as Record<string, string>);
    const seen = new Set<string>();
    for (const [name] of entries) {
      if (seen.has(cookieKey(name))) {
        throw new ConfigError(
          ['cookies', name],
          `some servers take ${name} for another cookie of this list: rename one of them`,
        );
      }
      seen.add(cookieKey(name));
    }
    return {
      headers: [],
      cookies: entries.map(([name]) => name),
      keys: [],
      mutate(session) {
        for (const [name, template] of entries) {
          const value = fieldValue(template, session);
          // RFC 6265 §4.1.1. Any other character could end this cookie and begin another one.
          if (value === undefined || !/^[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*$/.test(value)) {
            return unsendable(`cookie ${name}`);
          }
          session.cookies.set(name, value);
        }
        return undefined;
      },
    };
  },
};
