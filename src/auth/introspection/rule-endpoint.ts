import { ConfigError } from '../../document/finding.js';
import type { Endpoint, Grant } from '../../model/authorization-server.js';
import { RESERVED_HEADERS, withHeaders } from './call-headers.js';
import { derivedReadiness } from './readiness.js';

/**
 * The rule's own endpoint. The gateway's client credentials and fixed fields go to the server they were configured
 * for and to no other one.
 *
 * @throws ConfigError when the URL is none, or a field is one that no rule may set
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
  if (!URL.canParse(named)) throw new ConfigError(['introspection_url'], 'this is no URL');
  for (const name of Object.keys(headers ?? {})) {
    if (RESERVED_HEADERS.has(name.toLowerCase())) {
      throw new ConfigError(['introspection_request_headers', name], `${name} is set by the gateway itself`);
    }
    if (grant !== undefined && name.toLowerCase() === 'authorization') {
      throw new ConfigError(
        ['introspection_request_headers', name],
        `${name} is at odds with pre_authorization`,
      );
    }
  }
  const { known, exact } = serverOf(named, [main, ...servers]);
  const readiness = known === undefined ? derivedReadiness(named) : known.readiness;
  const auth = known?.auth ?? ({ method: 'none' } as const);
  const fixed = known?.headers ?? {};
  // The gateway's own Authorization field would stand in for the token's.
  const { authorization: _, ...others } = withHeaders(fixed);
  return {
    // A server named by its issuer is asked at its own URL; of an issuer that is asked for it each character counts.
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
 * The server of the settings that a URL means: the one with that very URL, the one with that issuer, or else the one of
 * its origin.
 *
 * @throws ConfigError where several servers have that issuer or are of that origin
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
