import type { HandlerDefaults } from '../auth/strategies/strategy.js';
import type { Environment } from '../config/environment.js';
import { readSettingsFile } from '../config/file.js';
import { verifiesClients } from '../config/sections/listen.js';
import { placeOfRules } from '../config/sections/rules.js';
import { type AuthorizationServer, loadSettings, type Settings } from '../config/settings.js';
import { byPosition, type Finding } from '../document/finding.js';
import type { ClientAuth, Endpoint } from '../model/authorization-server.js';
import { systemClock } from '../model/clock.js';
import type { RuleTable } from '../model/rule.js';
import { type LoadOptions, loadRules } from '../rules/load.js';
import { loadOffThread } from '../rules/off-thread.js';
import { expiryProblem } from '../tls/expiry.js';
import { readIdentity } from '../tls/identity.js';
import type { ShownProgress } from './progress.js';

/** Settings and rules, or all errors in them. */
export interface Loaded {
  readonly settings?: Settings;
  readonly table?: RuleTable;
  /** In order of position. */
  readonly findings: readonly Finding[];
}

/**
 * Loads the settings file and the rules that it names. Every command that needs both uses this.
 *
 * @param file path of the settings file
 * @param environment the environment variables of the process
 * @param progress shows the progress while the rules are loaded
 * @returns no table if the settings or the rules have errors
 */
export function load(file: string, environment: Environment, progress?: ShownProgress): Loaded {
  const { settings, findings } = loadSettings(file, environment);
  if (settings === undefined) return { findings };
  const rules = loadRules(settings.rules, loadOptions(settings, 1), progress?.step);
  progress?.end();
  const observed = settings.enforcement === 'observe' ? [observeWarning(file)] : [];
  return {
    settings,
    ...rules,
    findings: [
      ...findings,
      ...observed,
      ...certificateWarnings(file, settings),
      ...placed(rules.findings, settings),
    ].sort(byPosition),
  };
}

/** Reports a rules path that does not exist at the setting that names it, because the mistake is there. */
function placed(findings: readonly Finding[], { rules }: Settings): Finding[] {
  return findings.map((finding) =>
    finding.code === 'unreadable-file' ? { ...finding, ...placeOfRules(rules, finding.file) } : finding,
  );
}

/** Warns of each certificate of a listener that expires within a week, or has expired. */
function certificateWarnings(file: string, { listen }: Settings): Finding[] {
  return Object.entries(listen).flatMap(([listener, { tls }]) => {
    if (tls === undefined) return [];
    return readIdentity(tls).shown.flatMap(({ certificate }, index): Finding[] => {
      const expires = new Date(certificate.validTo);
      const problem = expiryProblem(expires.getTime() / 1000, systemClock.wall());
      if (problem === undefined) return [];
      const path = index === 0 ? ['cert'] : ['certificates', index - 1, 'cert'];
      const { document } = readSettingsFile(file);
      const position = document?.at(['listen', listener, 'tls', ...path]) ?? { file, line: 1, col: 1 };
      const message = `listen.${listener}.tls: the certificate ${problem.message} (${expires.toISOString()}); renew it and replace its files`;
      return [{ ...position, level: 'warning', code: 'certificate-expires', message }];
    });
  });
}

function observeWarning(file: string): Finding {
  const { document } = readSettingsFile(file);
  const position = document?.at(['enforcement']) ?? { file, line: 1, col: 1 };
  const message =
    'enforcement: observe is a dry run: requests that rules deny are forwarded; set enforce when the log shows no more would_deny for requests that should pass';
  return { ...position, level: 'warning', code: 'observe-only', message };
}

/** Settings and rules of a gateway, or all errors in them. */
export interface LoadedForServing extends Loaded {
  /** The digest of the rule files, as `readRuleFiles` makes it. */
  readonly digest?: string;
}

/**
 * Loads the same for `serve`, with the rules on another thread.
 *
 * @param signal aborts the loading; the promise is then rejected
 */
export async function loadForServing(
  file: string,
  environment: Environment,
  progress: ShownProgress,
  signal: AbortSignal,
): Promise<LoadedForServing> {
  const { settings, findings } = loadSettings(file, environment);
  if (settings === undefined) return { findings };
  try {
    const options = { signal, progress: progress.step };
    const { fault, ...rules } = await loadOffThread(settings.rules, loadOptions(settings, 1), options);
    // A bug ends the command with its stack trace, like any other bug.
    if (fault !== undefined) throw fault;
    return {
      settings,
      ...rules,
      findings: [
        ...findings,
        ...certificateWarnings(file, settings),
        ...placed(rules.findings, settings),
      ].sort(byPosition),
    };
  } finally {
    progress.end();
  }
}

/**
 * The settings that loading rules depends on.
 *
 * @param version the version of the rule table to build
 */
export function loadOptions(settings: Settings, version: number): LoadOptions {
  return {
    services: settings.services,
    ...(settings.domain === undefined ? {} : { domain: settings.domain }),
    serviceHosts: settings.matching.serviceHosts,
    timeout: settings.forward.timeout,
    overlap: settings.matching.overlap,
    enforcement: settings.enforcement,
    resources: settings.resources,
    unserved: settings.kyma.unserved,
    ...(settings.kyma.idToken === undefined ? {} : { idToken: settings.kyma.idToken }),
    extAuthorizers: settings.kyma.extAuthorizers,
    clientCertificates:
      verifiesClients(settings.listen.proxy.tls) || settings.proof.certificateField !== 'none',
    handlers: handlerDefaults(settings),
    limits: { timeout: settings.reload.timeout, maxBytes: settings.reload.maxBytes },
    version,
  };
}

/** The settings that handlers use if the rule's `config` does not set them. */
export function handlerDefaults(settings: Settings): HandlerDefaults {
  const { scopeStrategy, leeway, servers } = settings.introspection;
  return {
    scopeStrategy,
    endpoint: endpointOf(settings.introspection),
    servers: servers.map(endpointOf),
    leeway: leeway / 1000,
    jwt: jwtDefaults(settings),
    ...(settings.proof.dpop.enabled ? { dpopAlgorithms: settings.proof.dpop.algorithms } : {}),
  };
}

function jwtDefaults({ kyma }: Settings): NonNullable<HandlerDefaults['jwt']> {
  const { jwksUrls, trustedIssuers, jwtScopeStrategy } = kyma;
  return {
    keyUrls: jwksUrls,
    trustedIssuers,
    ...(jwtScopeStrategy === undefined ? {} : { scopeStrategy: jwtScopeStrategy }),
  };
}

function endpointOf(server: AuthorizationServer): Endpoint {
  const { url, issuer, discovered, signed, readiness, headers } = server;
  return {
    url,
    headers,
    auth: clientAuth(server),
    server: url,
    ...(issuer === undefined ? {} : { issuer }),
    ...(discovered ? { discovered } : {}),
    ...(signed === undefined ? {} : { signed }),
    ...(readiness === undefined ? {} : { readiness }),
  };
}

/** Keeps secrets wrapped until a call needs them. */
function clientAuth({ clientAuth: auth }: Pick<AuthorizationServer, 'clientAuth'>): ClientAuth {
  switch (auth.method) {
    case 'none':
    case 'tls':
    case 'private_key_jwt':
    case 'client_secret_jwt':
      return auth;
    case 'bearer':
      return { method: 'bearer', token: () => auth.token.reveal() };
    case 'pre_authorization': {
      const { method, clientSecret, ...grant } = auth;
      return { method, grant: { ...grant, clientSecret: () => clientSecret.reveal() } };
    }
    default:
      return { method: auth.method, clientId: auth.clientId, clientSecret: () => auth.clientSecret.reveal() };
  }
}
