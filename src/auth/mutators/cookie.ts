import { ConfigError } from '../../document/finding.js';
import { cookieKey } from '../../parse/cookies.js';
import { templates, unsendable } from './header-templates.js';
import type { MutatorKind } from './mutator.js';
import { renderText } from './template.js';

/**
 * The characters of a cookie's value (RFC 6265 §4.1.1), and also spaces, because of which the value is
 * quoted, and characters outside of ASCII. Any other character could end this cookie and begin another one.
 */
const VALUE = /^[ \x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e\u0080-\uffff]*$/;

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
  compile(config, dialect) {
    const entries = templates('cookies', config.cookies as Record<string, string>, dialect);
    const seen = new Set<string>();
    for (const [name] of entries) {
      if (seen.has(cookieKey(name))) {
        throw new ConfigError(
          ['cookies', name],
          `some servers treat ${name} and another cookie in this list as the same cookie: rename one of them`,
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
          const value = renderText(template, session);
          if (!VALUE.test(value)) return unsendable(`cookie ${name}`);
          session.cookies.set(name, value);
        }
        return undefined;
      },
    };
  },
};
