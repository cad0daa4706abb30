import { ConfigError } from '../../document/finding.js';
import { COOKIE_VALUE, cookieKey } from '../../parse/cookies.js';
import { templates, unsendable } from './header-templates.js';
import type { MutatorKind } from './mutator.js';
import { renderText, type Template } from './template.js';

const HEADER_INSTEAD =
  'set a header field instead (request.headers in APIRule v2, the mutator header in others)';
const REMEDY = `write it without control characters and , ; " \\, or ${HEADER_INSTEAD}`;

/** Says why no request can have the value; undefined if some can. */
function unfit({ parts }: Template): string | undefined {
  for (const part of parts) {
    if (typeof part === 'string') {
      const wrong = [...part].find((character) => !COOKIE_VALUE.test(character));
      if (wrong !== undefined) {
        return `the value holds ${JSON.stringify(wrong)}, which a cookie cannot (RFC 6265 section 4.1.1)`;
      }
    } else if (part.inCookie?.always) {
      const { command, holds } = part.inCookie;
      return `${command} always holds ${holds}, which a cookie cannot (RFC 6265 section 4.1.1)`;
    }
  }
  return undefined;
}

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
  warnings(config, dialect) {
    const entries = templates('cookies', config.cookies as Record<string, string>, dialect);
    return entries.flatMap(([name, { parts }]) => {
      const part = parts.find((each) => typeof each !== 'string' && each.inCookie?.always === false);
      if (part === undefined || typeof part === 'string' || part.inCookie === undefined) return [];
      const { command, holds } = part.inCookie;
      const message = `${command} can hold ${holds}, which a cookie cannot: such a request gets 500, and never goes on; ${HEADER_INSTEAD}`;
      return [{ path: ['cookies', name], code: 'cookie-value', message }];
    });
  },
  compile(config, dialect) {
    const entries = templates('cookies', config.cookies as Record<string, string>, dialect);
    const seen = new Set<string>();
    for (const [name, template] of entries) {
      const problem = unfit(template);
      if (problem !== undefined) throw new ConfigError(['cookies', name], `${problem}: ${REMEDY}`);
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
          if (!COOKIE_VALUE.test(value)) return unsendable(`cookie ${name}`);
          session.cookies.set(name, value);
        }
        return undefined;
      },
    };
  },
};
