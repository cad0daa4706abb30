import { ConfigError } from '../../document/finding.js';
import type { Endpoint, Grant } from '../../model/authorization-server.js';
import { RESERVED_HEADERS, withHeaders } from './call-headers.js';
import { derivedReadiness } from './readiness.js';

/**
 * The rule's own endpoint. The gateway's client credentials and fixed fields go to the server they were
 * configured for and to no other one.
 *
 * @throws ConfigError if the URL is not valid, or if a rule must not set one of the fields
 */
export function endpointOf(
  url: string | undefined,
  headers: Record<string, string> | undefined,
  grant: Grant | undefined,
  main: Endpoint,
  servers: readonly Endpoint[] = [],
  own: Pick<Endpoint, 'lifetime' | 'retry'> = {},
): Endpoint {
  if (url === undefined && headers === undefined && grant === undefined) {
    return Object.keys(own).length === 0 ? main : { ...main, ...own };
  }
  const named = url ?? main.url;
  if (!URL.canParse(named)) throw new ConfigError(['introspection_url'], 'it is not a URL');
  for (const name of Object.keys(headers ?? {})) {
    if (RESERVED_HEADERS.has(name.toLowerCase())) {
      throw new ConfigError(
        ['introspection_request_headers', name],
        `scopegate sets ${name} itself; remove it`,
      );
    }
    if (grant !== undefined && name.toLowerCase() === 'authorization') {
      throw new ConfigError(
        ['introspection_request_headers', name],
        `pre_authorization sets ${name} itself; remove one of them`,
      );
    }
  }
  const { known, exact } = serverOf(named, [main, ...servers]);
  const readiness = known === undefined ? derivedReadiness(named) : known.readiness;
  const auth = known?.auth ?? ({ method: 'none' } as const);
  const fixed = known?.headers ?? {};
  // A configured Authorization field would replace the one with the token that scopegate gets.
  const { authorization: _, ...others } = withHeaders(fixed);
  return {
    // If the rule names the issuer of a known server, use that server's own URL. Otherwise use the URL
    // exactly as the rule has it.
    url: exact ? known.url : named,
    headers: withHeaders(grant === undefined ? fixed : others, headers ?? {}),
    auth: grant === undefined ? auth : { method: 'pre_authorization', grant },
    ...(known?.server === undefined ? {} : { server: known.server }),
    ...(known?.signed === undefined ? {} : { signed: known.signed }),
    ...(readiness === undefined ? {} : { readiness }),
    ...(exact && known.discovered === true ? { discovered: true } : {}),
    ...own,
  };
}

type Found =
  | { readonly exact: true; readonly known: Endpoint }
  | { readonly exact: false; readonly known: Endpoint | undefined };

/**
 * Finds the server in the settings that a URL names: the one with exactly that URL, else the one with that
 * issuer, else the one with that origin.
 *
 * @throws ConfigError if several servers have that issuer or that origin
 */
function serverOf(url: string, servers: readonly Endpoint[]): Found {
  const { href, origin } = new URL(url);
  const named =
    servers.find((each) => new URL(each.url).href === href) ??
    only(
      servers.filter(({ issuer }) => issuer !== undefined && new URL(issuer).href === href),
      'issuer',
    );
  if (named !== undefined) return { exact: true, known: named };
  const known = only(
    servers.filter((each) => new URL(each.url).origin === origin),
    'origin',
  );
  return { exact: false, known };
}

function only([first, ...more]: readonly Endpoint[], what: string): Endpoint | undefined {
  if (more.length === 0) return first;
  const problem = `several servers of the settings have this ${what}: name the url or issuer of one`;
  throw new ConfigError(['introspection_url'], problem);
}
