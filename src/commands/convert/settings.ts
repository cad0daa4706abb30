import { stringify } from 'yaml';
import type { Finding } from '../../document/finding.js';
import { oathkeeperDurationSchema, oathkeeperDurationSeconds } from '../../model/duration.js';
import { errorHandlers } from './handlers.js';
import { merged, type OathkeeperConfig } from './oathkeeper.js';

/** The origins that rules forward to, by the name of the service. */
export type Services = ReadonlyMap<string, string>;

/** Parts of the configuration that are converted into rules, or that need no setting. */
const CARRIED: ReadonlySet<string> = new Set([
  'access_rules',
  'authenticators',
  'authorizers',
  'errors',
  'mutators',
  'serve',
  'version',
  '$schema',
]);

/**
 * Converts Oathkeeper's configuration to scopegate's settings.
 *
 * @param services where the rules forward to
 * @returns YAML, and a finding for each part that has no counterpart
 */
export function settingsOf(
  config: OathkeeperConfig,
  services: Services,
): { text: string; findings: Finding[] } {
  const findings: Finding[] = [];
  const lost = (path: readonly (string | number)[], what: string): void => {
    findings.push(config.lost(path, what));
  };
  for (const name of Object.keys(config.fields())) {
    if (!CARRIED.has(name)) lost([name], 'docs/settings.md lists the settings of scopegate');
  }
  const settings = {
    ...listen(config, lost),
    rules: ['./rules'],
    services: { default: 'http://{name}:{port}', ...Object.fromEntries(services) },
    introspection: introspection(config, lost),
  };
  repositories(config, lost);
  errorHandlers([], config, lost, lost);
  return { text: `${HEAD}${stringify(settings, { lineWidth: 0 })}`, findings };
}

const HEAD = '# Converted from the configuration of Ory Oathkeeper. docs/settings.md lists all settings.\n';

/** `introspection.url` if the configuration has none: scopegate does not start without one. */
const EXAMPLE = 'http://hydra:4445/admin/oauth2/introspect';

const DURATION = new RegExp(oathkeeperDurationSchema.pattern);

type Lost = (path: readonly (string | number)[], what: string) => void;

function listen(config: OathkeeperConfig, lost: Lost): object {
  const ports: Record<string, object> = {};
  for (const [part, listener] of [
    ['proxy', 'proxy'],
    ['api', 'admin'],
  ] as const) {
    const {
      host,
      port,
      tls,
      cors,
      timeout,
      trust_forwarded_headers: trust,
      ...more
    } = config.fields('serve', part);
    if (timeout !== undefined)
      lost(['serve', part, 'timeout'], 'see server and forward.timeout in the settings');
    if (trust === true) {
      lost(['serve', part, 'trust_forwarded_headers'], 'list the trusted proxies in trustedProxies');
    }
    const { allow_credentials: credentials, allowed_origins: origins = ['*'] } = config.fields(
      'serve',
      part,
      'cors',
    );
    if (part === 'proxy' && credentials === true && Array.isArray(origins) && origins.includes('*')) {
      const what = 'browsers refuse it with the origin *; list the origins in allowOrigins';
      lost(['serve', part, 'cors', 'allow_credentials'], what);
    }
    if (part === 'api' && cors !== undefined)
      lost(['serve', part, 'cors'], 'the admin port does not allow other origins');
    for (const name of Object.keys(more)) lost(['serve', part, name], 'scopegate has no equivalent');
    const files = config.fields('serve', part, 'tls');
    const [cert, key] = [
      config.at('serve', part, 'tls', 'cert', 'path'),
      config.at('serve', part, 'tls', 'key', 'path'),
    ];
    const both = typeof cert === 'string' && typeof key === 'string';
    if (tls !== undefined && !both && Object.keys(files).length > 0) {
      lost(
        ['serve', part, 'tls'],
        `write the files of the certificate and its key into listen.${listener}.tls`,
      );
    }
    if (part === 'api' && (typeof host !== 'string' || host === '')) {
      lost(
        ['serve', part, 'host'],
        'Oathkeeper listened on all addresses; scopegate has 127.0.0.1 unless listen.admin.host says another',
      );
    }
    const said = {
      ...(typeof host === 'string' && host !== '' ? { host } : {}),
      ...(Number.isInteger(port) ? { port } : {}),
      ...(both ? { tls: { cert, key } } : {}),
    };
    if (Object.keys(said).length > 0) ports[listener] = said;
  }
  for (const name of Object.keys(config.fields('serve'))) {
    if (name === 'prometheus') lost(['serve', name], 'metrics are at /metrics of the admin port');
    else if (name !== 'proxy' && name !== 'api') lost(['serve', name], 'scopegate has no equivalent');
  }
  return Object.keys(ports).length === 0 ? {} : { listen: ports };
}

/** Where tokens are introspected. The rules hold everything else that handlers configure. */
function introspection(config: OathkeeperConfig, lost: Lost): object {
  const at = ['authenticators', 'oauth2_introspection', 'config'];
  const {
    introspection_url: url,
    scope_strategy: strategy,
    cache,
    pre_authorization: grant,
  } = merged({}, config.handler('authenticators', 'oauth2_introspection'));
  if (typeof url !== 'string') {
    lost(
      [...at, 'introspection_url'],
      `it is absent; introspection.url is ${EXAMPLE} as an example: write the address of your server`,
    );
  }
  const { enabled, ttl, ...sizes } = (cache ?? {}) as Record<string, unknown>;
  for (const name of Object.keys(sizes)) {
    lost([...at, 'cache', name], 'the size of the cache is introspection.cache.maxEntries');
  }
  if (strategy === 'none') {
    lost(
      [...at, 'scope_strategy'],
      'scopegate compares required scopes itself, exactly (introspection.scopeStrategy)',
    );
  }
  const { enabled: authorized, client_secret: _, ...auth } = (grant ?? {}) as Record<string, unknown>;
  if (authorized === true) {
    lost(
      [...at, 'pre_authorization', 'client_secret'],
      'write it into a file, and the name of the file into introspection.clientAuth.clientSecretFile',
    );
  }
  const cached = {
    ...(enabled === false ? { enabled: false } : {}),
    ...(typeof ttl === 'string' && DURATION.test(ttl)
      ? { ttl: `${Math.round(oathkeeperDurationSeconds(ttl) * 1000)}ms` }
      : {}),
  };
  return {
    url: typeof url === 'string' ? url : EXAMPLE,
    ...(typeof strategy === 'string' && strategy !== 'none' ? { scopeStrategy: strategy } : {}),
    ...(Object.keys(cached).length === 0 ? {} : { cache: cached }),
    ...(authorized === true ? { clientAuth: preAuthorization(auth) } : {}),
  };
}

function preAuthorization({
  client_id: clientId,
  token_url: tokenUrl,
  scope,
  audience,
}: Record<string, unknown>) {
  return {
    method: 'pre_authorization',
    clientId,
    clientSecretFile: './client-secret',
    tokenUrl,
    ...(scope === undefined ? {} : { scope }),
    ...(audience === undefined ? {} : { audience }),
  };
}

function repositories(config: OathkeeperConfig, lost: Lost): void {
  const list = config.at('access_rules', 'repositories');
  if (!Array.isArray(list)) return;
  list.forEach((each: unknown, index) => {
    if (typeof each !== 'string' || /^(file|inline):/.test(each)) return;
    const what = 'scopegate reads rules from files and folders: download them, and pass the files to convert';
    lost(['access_rules', 'repositories', index], what);
  });
}
