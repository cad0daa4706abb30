import { ConfigError } from '../../document/finding.js';
import type { ErrorHandler, RefusedRequest, RefusingRule } from '../../model/error-handler.js';
import { forwardedScheme } from '../../parse/forwarded-scheme.js';
import { isHeldBy } from '../../parse/host.js';
import { withoutParameter } from '../../parse/token.js';

/** JSON Schema of the fields of `redirect`. */
export const redirectProperties = {
  to: { type: 'string', minLength: 1 },
  code: { enum: [301, 302, 303] },
  return_to_query_param: { type: 'string', minLength: 1 },
  return_to_hosts: {
    type: 'array',
    minItems: 1,
    items: {
      type: 'string',
      title: 'a host name without port, or *.suffix',
      pattern: '^(\\*\\.)?[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?$',
    },
  },
} as const;

/**
 * Compiles the error handler `redirect`: the client is sent to a login page, which learns the URL that the
 * client came from.
 *
 * The target is fixed. The login page gets the URL of the request only if the rule trusts its host. Otherwise
 * an attacker could make a login page that trusts `return_to` send users to any host.
 *
 * @throws ConfigError with a path below the entry
 */
export function redirect(config: Readonly<Record<string, unknown>>): ErrorHandler['answer'] {
  const { to, code = 302, return_to_query_param: parameter, return_to_hosts: hosts } = config;
  if (typeof to !== 'string') throw new ConfigError(['config'], 'it must have the field "to"');
  const isPath = /^\/(?![/\\])/.test(to);
  if (!/^[\x21-\x7e]+$/.test(to) || to.includes('\\') || !(isPath || isWebUrl(to))) {
    throw new ConfigError(['config', 'to'], 'must be an http or https URL without credentials, or a path');
  }
  const trusted = (hosts as string[] | undefined)?.map((host) => host.toLowerCase());
  if (trusted !== undefined && parameter === undefined) {
    throw new ConfigError(
      ['config', 'return_to_hosts'],
      'it has no effect unless return_to_query_param is set; set return_to_query_param, or remove it',
    );
  }
  if (parameter === undefined) return () => ({ code: code as number, location: to });
  return (request, rule) => {
    const from = isHeldBy(trusted ?? namedHosts(rule), request.target.host)
      ? urlOf(request, rule)
      : undefined;
    return {
      code: code as number,
      location: from === undefined ? to : withParameter(to, parameter as string, from),
    };
  };
}

function isWebUrl(text: string): boolean {
  if (!/^https?:\/\/[^/]/i.test(text) || !URL.canParse(text)) return false;
  const { username, password } = new URL(text);
  return username === '' && password === '';
}

/** The rule's hosts without `*`, which names no host. */
function namedHosts({ hosts }: RefusingRule): string[] {
  return hosts.filter((host) => host !== '*');
}

/** The URL that the client asked for, without tokens. */
function urlOf({ fields, target, peer, scheme }: RefusedRequest, rule: RefusingRule): string {
  const said = peer?.trusted === true ? forwardedScheme(fields) : undefined;
  const port = /:[0-9]{1,5}$/.exec(fields.host ?? '')?.[0] ?? '';
  let { query } = target;
  const sources = rule.strategies.flatMap(({ tokenSources = [] }) => tokenSources);
  for (const source of [...sources, { query_parameter: 'access_token' }]) {
    if ('query_parameter' in source) query = withoutParameter(query, source.query_parameter);
  }
  const own = peer?.secure === true ? 'https' : 'http';
  return `${scheme ?? said ?? own}://${target.host}${port}${target.path}${query}`;
}

/** Sets a parameter of a URL or path, and removes its earlier values. */
function withParameter(to: string, name: string, value: string): string {
  const [before = '', ...fragment] = to.split('#');
  const mark = before.indexOf('?');
  const kept = mark < 0 ? '' : withoutParameter(before.slice(mark), name);
  const pair = `${encodeURIComponent(name)}=${encodeURIComponent(value)}`;
  const query = kept === '' || kept === '?' ? `?${pair}` : `${kept}&${pair}`;
  return [(mark < 0 ? before : before.slice(0, mark)) + query, ...fragment].join('#');
}
