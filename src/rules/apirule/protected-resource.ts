import { allowAllHandler } from '../../auth/strategies/allow-all.js';
import type { HandlerDefaults } from '../../auth/strategies/strategy.js';
import type { CorsPolicy, ResourceIndex, Rule } from '../../model/rule.js';
import { readHost } from '../../parse/host.js';
import { canonicalPath } from '../../parse/target.js';
import type { TokenSource } from '../../parse/token.js';
import { type AnalysisBudget, UNLIMITED } from '../budget.js';
import { compilePattern } from '../pattern/pattern.js';
import { relate } from '../pattern/relation.js';
import { wildcardsAround } from '../table/hosts.js';
import { pathPattern } from './path-template.js';

/** A protected resource whose metadata the gateway publishes (RFC 9728), as configured in the settings. */
export interface ResourceSettings {
  /** The resource identifier (RFC 9728 §1.2). */
  readonly resource: string;
  /** Issuer identifiers of the authorization servers whose tokens the resource accepts. */
  readonly authorizationServers: readonly string[];
  /** `resource_name`: a name for people. */
  readonly name?: string;
  /** `resource_documentation`: URL of a page for developers. */
  readonly documentation?: string;
  /** `resource_policy_uri`: URL of a page about what may be done with the data. */
  readonly policy?: string;
  /** `resource_tos_uri`: URL of the terms of service. */
  readonly terms?: string;
  /** The position in the settings, `file:line:col`. */
  readonly source: string;
}

const AUTHORIZATION: TokenSource = { header: 'authorization' };
const WELL_KNOWN = '/.well-known/oauth-protected-resource';
/**
 * How long a client may cache the document, in seconds. It must be short, because the document changes with
 * the rules.
 */
const MAX_AGE = 300;

/** Any web page may read the document: it is public, and clients in browsers start with it. */
const PUBLIC: CorsPolicy = {
  answers: true,
  allowsOrigin: () => true,
  methods: ['GET', 'HEAD'],
  headers: ['*'],
  exposed: [],
  credentials: false,
  maxAge: MAX_AGE,
};

/**
 * Checks whether a text can be a resource identifier or an issuer identifier: an https URL without query and
 * fragment (RFC 9728 §1.2, RFC 8414 §2). For development, http is allowed for a loopback name.
 *
 * @returns why it cannot be one; undefined if it can
 */
export function identifierProblem(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined) return 'must be an https URL';
  const loopback = /^(?:localhost|.*\.localhost|127(?:\.\d+){3}|\[::1\])$/.test(url.hostname);
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && loopback)) return 'must be an https URL';
  if (/[?#]/.test(text)) return 'must not have a query or a fragment';
  if (url.username !== '' || url.password !== '') return 'must not contain credentials';
  if (readHost(url.host) === undefined)
    return 'must have a host that is valid in the Host field of a request';
  if (url.href !== text && url.href !== `${text}/`) return `must be written as ${url.href}`;
  const path = canonicalPath(url.pathname);
  if ('refused' in path || path.marks !== 0 || path.path !== url.pathname || !locate(url).source.ok) {
    return 'must have a canonical path (docs/paths.md)';
  }
  return undefined;
}

/**
 * The URL of a resource's metadata. The well-known part is inserted between the host and the path; a path
 * that is only `/` is omitted (RFC 9728 §3.1).
 *
 * @param resource a valid resource identifier
 */
export function metadataUrl(resource: string): string {
  const url = new URL(resource);
  return url.origin + locate(url).path;
}

function locate({ pathname }: URL): { path: string; source: ReturnType<typeof compilePattern> } {
  const path = WELL_KNOWN + (pathname === '/' ? '' : pathname);
  const written = pathPattern(path);
  return {
    path,
    source: compilePattern('source' in written ? written.source : '(', { undecided: 'refuse' }),
  };
}

/**
 * Makes the rules that publish the metadata of resources: one rule for GET and HEAD per document. They are
 * proved against all other rules like any rule, so they cannot silently take requests from one.
 *
 * @param resources are valid; no two have their metadata at the same URL
 * @param rules the rules that guard the resources; the documents list the scopes of these rules
 * @param known the documents, if another thread has already determined which rules guard the resources
 * @param budget the limits for comparing paths
 */
export function compileResources(
  resources: readonly ResourceSettings[],
  rules: readonly Rule[],
  defaults: HandlerDefaults,
  known?: readonly string[],
  budget: AnalysisBudget = UNLIMITED,
): { rules: Rule[]; index?: ResourceIndex } {
  if (resources.length === 0) return { rules: [] };
  const open = allowAllHandler('resource_metadata').compile({}, defaults);
  const published = resources.map((settings, index): Rule => {
    const url = new URL(settings.resource);
    const { source } = locate(url);
    if (!source.ok) throw new TypeError(`${settings.resource} was not checked`);
    return {
      id: `resource ${settings.resource}`,
      source: settings.source,
      hosts: [readHost(url.host) as string],
      methods: ['GET', 'HEAD'],
      path: source.source,
      pattern: source.pattern,
      strategies: [open],
      cors: PUBLIC,
      upstream: { origin: url.origin, authority: url.host },
      document: {
        text: known?.[index] ?? JSON.stringify(metadataOf(settings, rulesOf(url, rules, budget))),
        fields: [...['content-type', 'application/json'], ...['cache-control', `public, max-age=${MAX_AGE}`]],
      },
      timeout: 0,
      allows: { encodedSlash: false, encodedPercent: false, semicolon: false, emptySegments: false },
    };
  });
  return { rules: published, index: indexOf(resources) };
}

/** The rules that requests to a resource can match. */
function rulesOf({ host: authority, pathname }: URL, rules: readonly Rule[], budget: AnalysisBudget): Rule[] {
  const host = readHost(authority) as string;
  const names = new Set([host, ...wildcardsAround(host)]);
  const here = rules.filter(({ hosts }) => hosts.some((name) => names.has(name)));
  if (pathname === '/') return here;
  const written = pathPattern(pathname.replace(/\/$/, ''));
  const below = compilePattern('source' in written ? `${written.source}(?:/.*)?` : '/.*', {
    undecided: 'accept',
  });
  return below.ok
    ? here.filter(({ pattern }) => relate(pattern, below.pattern, budget).relation !== 'disjoint')
    : here;
}

/** Makes the metadata document (RFC 9728 §2). Members without a value are omitted (§3.2). */
function metadataOf(settings: ResourceSettings, rules: readonly Rule[]): object {
  const strategies = rules.flatMap(({ strategies: all }) => all);
  const scopes = [...new Set(strategies.flatMap(({ requiredScopes }) => requiredScopes))].sort();
  const methods = [
    ...new Set(strategies.flatMap(({ tokenSources = [AUTHORIZATION] }) => tokenSources.map(methodOf))),
  ].filter((method) => method !== undefined);
  const bindings = strategies.map(({ binding }) => binding).filter((binding) => binding !== undefined);
  const members = {
    resource: settings.resource,
    authorization_servers: settings.authorizationServers,
    scopes_supported: scopes,
    bearer_methods_supported: methods,
    dpop_signing_alg_values_supported: bindings.find(({ dpop }) => dpop)?.dpop?.algorithms.split(' '),
    dpop_bound_access_tokens_required:
      bindings.length > 0 && bindings.every(({ required }) => required === 'dpop') ? true : undefined,
    tls_client_certificate_bound_access_tokens: bindings.some(({ required }) => required === 'certificate')
      ? true
      : undefined,
    resource_name: settings.name,
    resource_documentation: settings.documentation,
    resource_policy_uri: settings.policy,
    resource_tos_uri: settings.terms,
  };
  return Object.fromEntries(
    Object.entries(members).filter(
      ([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0),
    ),
  );
}

/** The name of a place where a token is read. RFC 9728 §2 has names only for the three methods of RFC 6750. */
function methodOf(source: TokenSource): string | undefined {
  if ('header' in source) {
    const bearer = (source.scheme ?? 'bearer').toLowerCase() === 'bearer';
    return bearer && source.header.toLowerCase() === 'authorization' ? 'header' : undefined;
  }
  if ('form_parameter' in source) return source.form_parameter === 'access_token' ? 'body' : undefined;
  return 'query_parameter' in source && source.query_parameter === 'access_token' ? 'query' : undefined;
}

/** Returns a function that finds the metadata of the innermost resource that contains a path. */
function indexOf(resources: readonly ResourceSettings[]): ResourceIndex {
  const places = resources
    .map(({ resource }) => {
      const url = new URL(resource);
      const path = url.pathname.replace(/\/$/, '');
      return { host: readHost(url.host) as string, path, metadata: metadataUrl(resource) };
    })
    .sort((a, b) => b.path.length - a.path.length);
  return {
    metadataOf: (host, path) =>
      places.find(
        (place) => place.host === host && (path === place.path || path.startsWith(`${place.path}/`)),
      )?.metadata,
  };
}
