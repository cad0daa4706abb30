import { createSecretKey } from 'node:crypto';
import { accessSync, constants } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { createSecureContext } from 'node:tls';
import { RESERVED_HEADERS } from '../auth/introspection/call-headers.js';
import type { CertificateField } from '../auth/possession/certificate.js';
import { PROOF_ALGORITHMS } from '../auth/possession/dpop.js';
import type { ScopeStrategyName } from '../auth/strategies/strategy.js';
import { byPosition, type Finding } from '../document/finding.js';
import { validate } from '../document/validate.js';
import type { Path, SourceDocument } from '../document/yaml.js';
import type { AssertionKey, DecryptionKey, SignedAnswers } from '../model/authorization-server.js';
import { DURATION_PATTERN, POSITIVE_DURATION_PATTERN, parseDuration } from '../model/duration.js';
import type { StorePlace } from '../outbound/redis/store.js';
import { TOKEN } from '../parse/grammar.js';
import { readNetwork } from '../parse/peer.js';
import {
  identifierProblem,
  metadataUrl,
  type ResourceSettings,
} from '../rules/apirule/protected-resource.js';
import { checkTemplate, type ServiceTemplates } from '../rules/apirule/service.js';
import { readIdentity, type TlsFiles, UnusableIdentity } from '../tls/identity.js';
import { type ClientTls, readClientTls, type UpstreamsTls } from './client-tls.js';
import { type Environment, withEnvironment } from './environment.js';
import { readSettingsFile } from './file.js';
import { type IdentityFieldSettings, identityFieldProblems } from './identity-fields.js';
import { readAssertionKey, readCipherKey, readDecryptionKeys } from './key.js';
import { rereading } from './reread.js';
import { type SettingSchema, serverSchema, settingsSchema } from './schema.js';
import { readSecret, Secret } from './secret.js';

/**
 * The settings with all defaults in place. Durations are milliseconds; paths of files are as the process can open
 * them. What each one does stands in `schema.ts`.
 */
export interface Settings {
  /** The settings file itself. */
  readonly file: string;
  readonly listen: { readonly proxy: Listener; readonly admin: Listener };
  readonly rules: readonly string[];
  readonly services: ServiceTemplates;
  readonly domain?: string;
  readonly realm: string;
  readonly trustedProxies: readonly string[];
  readonly resources: readonly ResourceSettings[];
  readonly introspection: IntrospectionSettings;
  readonly proof: ProofSettings;
  readonly matching: { readonly overlap: 'error' | 'specific' };
  readonly forward: ForwardSettings;
  readonly server: ServerSettings;
  readonly tracing: TracingSettings;
  readonly reload: { readonly watch: boolean; readonly poll: number };
  readonly decisions: DecisionsSettings;
  readonly admin: { readonly hosts: readonly string[]; readonly token?: Secret };
  readonly log: LogSettings;
}

/** How proxies ask for decisions. */
export interface DecisionsSettings {
  readonly prefix: string;
  readonly describedBy: 'any' | 'forwarded' | 'original' | 'request';
  readonly identity: Readonly<Record<string, string>>;
}

/** What is logged, and how. */
export interface LogSettings {
  readonly level: LogLevel;
  readonly audit: boolean;
  readonly sampleAllowed: number;
  readonly pretty: boolean;
}

/** One address to listen on. */
export interface Listener {
  readonly host: string;
  readonly port: number;
  readonly tls?: TlsFiles;
}

/** How tokens are introspected. */
export interface IntrospectionSettings extends AuthorizationServer {
  readonly scopeStrategy: ScopeStrategyName;
  readonly timeout: number;
  readonly connectTimeout: number;
  readonly maxResponseBytes: number;
  readonly concurrency: number;
  readonly queue: number;
  readonly retries: number;
  readonly leeway: number;
  readonly requireContentType: boolean;
  /** Further servers that rules may name. */
  readonly servers: readonly AuthorizationServer[];
  readonly cache: {
    readonly enabled: boolean;
    readonly ttl: number;
    readonly negativeTtl: number;
    readonly refreshBefore: number;
    readonly maxEntries: number;
    readonly maxBytes: number;
    readonly negativeMaxEntries: number;
    /** Undefined: each gateway has its own cache only. */
    readonly shared?: SharedSettings;
  };
  readonly flood: { readonly badTokens: number; readonly per: number; readonly maxClients: number };
  readonly breaker: { readonly failures: number; readonly openFor: number };
}

/** An authorization server: the one that rules mean where they name none, or another one. */
export interface AuthorizationServer {
  /** The endpoint, or the issuer where it is to be discovered. */
  readonly url: string;
  readonly issuer?: string;
  /** Whether `url` is the issuer. */
  readonly discovered: boolean;
  /** Undefined takes plain answers. */
  readonly signed?: SignedAnswers;
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: ClientTls;
  readonly clientAuth: ClientAuth;
}

/** The cache that several gateways share. */
export interface SharedSettings {
  readonly place: StorePlace;
  /** 32 bytes, the one that encrypts first. */
  readonly keys: readonly [() => Buffer, ...(() => Buffer)[]];
  readonly username?: string;
  readonly password?: Secret;
  readonly ca?: string;
  readonly prefix: string;
  readonly timeout: number;
}

/** How the gateway authenticates at the introspection endpoint (RFC 6749 section 2.3, RFC 7662 section 2.1). */
export type ClientAuth =
  | { readonly method: 'none' }
  | { readonly method: 'basic' | 'post'; readonly clientId: string; readonly clientSecret: Secret }
  | {
      readonly method: 'private_key_jwt' | 'client_secret_jwt';
      readonly clientId: string;
      readonly audience: string;
      /** Read at each use. */
      readonly key: () => AssertionKey;
    }
  | { readonly method: 'tls'; readonly clientId: string }
  | { readonly method: 'bearer'; readonly token: Secret }
  | {
      readonly method: 'pre_authorization';
      readonly tokenUrl: string;
      readonly clientId: string;
      readonly clientSecret: Secret;
      readonly scope: readonly string[];
      readonly audience?: string;
    };

/** How clients prove that they have the key a token is bound to. */
export interface ProofSettings {
  readonly dpop: {
    readonly enabled: boolean;
    readonly algorithms: readonly string[];
    readonly maxAge: number;
    readonly leeway: number;
    readonly maxProofs: number;
    readonly maxProofsPerKey: number;
    readonly replays: 'shared' | 'required' | 'own';
    readonly nonce: { readonly required: boolean; readonly lifetime: number; readonly secret?: Secret };
  };
  readonly certificateField: CertificateField | 'none';
}

/** How requests are forwarded. */
export interface ForwardSettings {
  readonly timeout: number;
  readonly connectTimeout: number;
  readonly idleTimeout: number;
  readonly maxBodyBytes: number;
  readonly maxHeaderBytes: number;
  readonly maxTargetBytes: number;
  readonly host: 'upstream' | 'preserve';
  readonly webSockets: boolean;
  readonly webSocketMaxAge: number;
  readonly via: string;
  readonly connections: number;
  readonly queueTimeout: number;
  readonly longExchanges: number;
  readonly maxResponseHeaderBytes: number;
  readonly requestBuffer: number;
  readonly identityFields: IdentityFieldSettings;
  readonly tls: UpstreamsTls;
}

/** Distributed tracing; off without an endpoint. */
export interface TracingSettings {
  readonly endpoint?: string;
  readonly sample: number;
  readonly serviceName?: string;
}

/** Limits on clients. */
export interface ServerSettings {
  readonly headersTimeout: number;
  readonly keepAliveTimeout: number;
  readonly bodyIdleTimeout: number;
  readonly minBodyRate: number;
  readonly pipelining: number;
  readonly maxConnections: number;
  readonly maxStreams: number;
  readonly maxInFlight: number;
  readonly maxEventLoopDelay: number;
  readonly drainTimeout: number;
}

/** The log's levels, as pino has them. */
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal';

/**
 * Reads the settings file, lays the environment over it, and checks both as a whole.
 *
 * @param file the settings file's path; findings name it as it is given
 * @param environment the variables, of which those with the prefix `SCOPEGATE_` count
 * @returns the settings where no finding is an error
 */
export function loadSettings(
  file: string,
  environment: Environment,
): { settings?: Settings; findings: Finding[] } {
  const read = readSettingsFile(file);
  if (read.document === undefined) return { findings: read.findings };
  const { document, findings } = withEnvironment(read.document, environment);
  findings.push(...validate(document, settingsSchema));
  if (findings.length > 0) return { findings: findings.sort(byPosition) };

  // Valid by the schema, so the shape is the one that the interface above says, but for what `Loader` still changes.
  const raw = complete(settingsSchema, document.value) as RawSettings;
  const loader = new Loader(document, dirname(file), environment);
  const settings = loader.settings(file, raw);
  findings.push(...loader.findings);
  findings.sort(byPosition);
  return findings.some(({ level }) => level === 'error') ? { findings } : { settings, findings };
}

type RawSettings = Omit<Settings, 'file' | 'introspection' | 'admin' | 'proof'> & {
  readonly proof: Omit<ProofSettings, 'dpop'> & {
    readonly dpop: Omit<ProofSettings['dpop'], 'nonce'> & {
      readonly nonce: { readonly required: boolean; readonly lifetime: number; readonly secretFile?: string };
    };
  };
  readonly admin: { readonly hosts: readonly string[]; readonly tokenFile?: string };
  readonly introspection: RawIntrospection;
};

/** An authorization server as the file has it. */
interface RawServer {
  readonly url?: string;
  readonly issuer?: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: ClientTls;
  readonly clientAuth: RawClientAuth;
  readonly signed: {
    readonly required: boolean;
    readonly jwksUrl?: string;
    readonly audience?: string;
    readonly decryptionKeyFile?: string;
    readonly algorithms: readonly string[];
  };
}

interface RawShared extends Omit<SharedSettings, 'place' | 'keys' | 'password'> {
  readonly url?: string;
  readonly cluster?: { readonly nodes: readonly string[] };
  readonly sentinel?: RawSentinel;
  readonly keyFile: string;
  readonly previousKeyFile?: string;
  readonly passwordFile?: string;
}

interface RawSentinel {
  readonly nodes: readonly string[];
  readonly master: string;
  readonly database: number;
  readonly username?: string;
  readonly passwordFile?: string;
}

type RawIntrospection = RawServer &
  Omit<IntrospectionSettings, keyof AuthorizationServer | 'cache' | 'servers'> & {
    readonly cache: Omit<IntrospectionSettings['cache'], 'shared'> & { readonly shared?: RawShared };
    readonly servers: readonly object[];
  };

interface RawClientAuth {
  readonly method: Method;
  readonly clientId?: string;
  readonly clientSecret?: string;
  readonly clientSecretFile?: string;
  readonly keyFile?: string;
  readonly keyId?: string;
  readonly algorithm?: string;
  readonly audience?: string;
  readonly token?: string;
  readonly tokenFile?: string;
  readonly tokenUrl?: string;
  readonly scope: readonly string[];
}

/** Fills in defaults and turns durations into milliseconds. A section that is absent and has required fields stays so. */
function complete(schema: SettingSchema, value: unknown): unknown {
  if (schema.properties !== undefined) {
    if (value === undefined && schema.required !== undefined) return undefined;
    const given = (value ?? {}) as Readonly<Record<string, unknown>>;
    return Object.fromEntries(
      Object.entries(schema.properties)
        .map(
          ([key, child]) =>
            [key, complete(child, Object.hasOwn(given, key) ? given[key] : undefined)] as const,
        )
        .filter(([, field]) => field !== undefined),
    );
  }
  const settled = value ?? schema.default;
  // An overlong duration becomes NaN here; `durations` reports it.
  if (schema.pattern === DURATION_PATTERN || schema.pattern === POSITIVE_DURATION_PATTERN) {
    return parseDuration(String(settled)) ?? Number.NaN;
  }
  return settled;
}

/** Turns valid values into usable ones and collects what no schema can say. */
class Loader {
  readonly findings: Finding[] = [];
  readonly #document: SourceDocument;
  readonly #folder: string;
  readonly #environment: Environment;

  constructor(document: SourceDocument, folder: string, environment: Environment) {
    this.#document = document;
    this.#folder = folder;
    this.#environment = environment;
  }

  settings(file: string, raw: RawSettings): Settings {
    this.#durations(settingsSchema, raw, []);
    this.#services(raw.services);
    this.#networks(raw.trustedProxies);
    this.#names(raw);
    this.#decisions(raw.decisions);
    this.#identityFields(raw.forward.identityFields);
    const { signed: _, ...introspection } = raw.introspection;
    const server = this.#server(['introspection'], raw.introspection);
    const { proxy, admin } = raw.listen;
    if (proxy.port === admin.port && proxy.port !== 0) {
      this.#error(['listen', 'admin', 'port'], 'listen.admin.port must differ from listen.proxy.port');
    }
    return {
      ...raw,
      file,
      listen: { proxy: this.#listener('proxy', proxy), admin: this.#listener('admin', admin) },
      rules: raw.rules.map((path) => this.#resolve(path)),
      resources: this.#resources(raw.resources),
      introspection: {
        ...introspection,
        ...server,
        cache: this.#cache(raw.introspection.cache),
        servers: this.#servers(raw.introspection.servers, server.url),
      },
      proof: this.#proof(raw.proof, raw.introspection.cache.shared !== undefined),
      admin: this.#admin(raw.admin),
      tracing: this.#tracing(raw.tracing),
      forward: { ...raw.forward, tls: this.#upstreamsTls(raw.forward.tls) },
    };
  }

  #error(path: Path, message: string, code = 'invalid-value'): void {
    this.findings.push({ ...this.#document.at(path), level: 'error', code, message });
  }

  #resolve(path: string): string {
    return isAbsolute(path) ? path : join(this.#folder, path);
  }

  #durations(schema: SettingSchema, value: unknown, path: readonly string[]): void {
    if (Number.isNaN(value)) this.#error(path, `${path.join('.')} must be shorter than 24 days`);
    for (const [key, child] of Object.entries(schema.properties ?? {})) {
      if (value !== undefined) {
        this.#durations(child, (value as Readonly<Record<string, unknown>>)[key], [...path, key]);
      }
    }
  }

  #services(services: ServiceTemplates): void {
    for (const [name, template] of Object.entries(services)) {
      const problem = checkTemplate(template);
      if (problem !== undefined) this.#error(['services', name], `services.${name} ${problem}`);
    }
  }

  #networks(networks: readonly string[]): void {
    networks.forEach((network, index) => {
      if (readNetwork(network) === undefined) {
        this.#error(
          ['trustedProxies', index],
          `trustedProxies.${index} must be a network such as 10.0.0.0/8 or ::1/128`,
        );
      }
    });
  }

  #resources(resources: readonly ResourceSettings[]): ResourceSettings[] {
    const places = new Map<string, string>();
    return resources.map((entry, index) => {
      const path = ['resources', index];
      this.#identifier([...path, 'resource'], entry.resource);
      entry.authorizationServers.forEach((issuer, at) => {
        this.#identifier([...path, 'authorizationServers', at], issuer);
      });
      for (const key of ['documentation', 'policy', 'terms'] as const) {
        const url = entry[key];
        if (url !== undefined && !(URL.canParse(url) && /^https?:$/.test(new URL(url).protocol))) {
          this.#error([...path, key], `resources.${index}.${key} must be an http or https URL`);
        }
      }
      if (identifierProblem(entry.resource) === undefined) {
        // Requests are told apart by host, without the port.
        const { hostname, pathname } = new URL(metadataUrl(entry.resource));
        const earlier = places.get(hostname + pathname);
        if (earlier !== undefined) {
          const message = `resources.${index}.resource has its metadata where ${earlier} has it`;
          this.#error([...path, 'resource'], message);
        }
        places.set(hostname + pathname, entry.resource);
      }
      const { file, line, col } = this.#document.at([...path, 'resource']);
      return { ...entry, source: `${file}:${line}:${col}` };
    });
  }

  #identifier(path: Path, text: string): void {
    const problem = identifierProblem(text);
    if (problem !== undefined) this.#error(path, `${path.join('.')} ${problem}`);
  }

  #names(raw: RawSettings): void {
    if (!/^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/.test(raw.realm)) {
      this.#error(['realm'], 'realm must be printable ASCII without quotation mark and backslash');
    }
    if (!TOKEN.test(raw.forward.via)) {
      this.#error(['forward', 'via'], 'forward.via must be a token (RFC 9110 section 5.6.2)');
    }
    if (raw.domain !== undefined && !/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i.test(raw.domain)) {
      this.#error(['domain'], 'domain must be a domain name');
    }
  }

  #decisions({ prefix, identity }: DecisionsSettings): void {
    if (!/^(?:\/[A-Za-z0-9._~-]+)+$/.test(prefix) || /\/\.\.?(?:\/|$)/.test(prefix)) {
      this.#error(['decisions', 'prefix'], 'decisions.prefix must be a path such as /decisions');
    } else if (ADMIN_PATHS.some((path) => `${prefix}/`.startsWith(`${path}/`))) {
      this.#error(
        ['decisions', 'prefix'],
        `decisions.prefix must leave ${ADMIN_PATHS.join(', ')} to the admin port`,
      );
    }
    const seen = new Set<string>();
    for (const name of Object.keys(identity)) {
      const lower = name.toLowerCase();
      const problem =
        !TOKEN.test(lower) || lower.includes('_')
          ? 'is no name of a header field that every upstream understands'
          : ANSWER_FIELDS.has(lower)
            ? 'is a field with a meaning of its own'
            : seen.has(lower)
              ? 'is given twice'
              : undefined;
      if (problem !== undefined) {
        this.#error(['decisions', 'identity', name], `decisions.identity.${name} ${problem}`);
      }
      seen.add(lower);
    }
  }

  #identityFields(lists: IdentityFieldSettings): void {
    for (const { path, problem } of identityFieldProblems(lists)) {
      const place = ['forward', 'identityFields', ...path];
      this.#error(place, `${place.join('.')} ${problem}`);
    }
  }

  #admin({ hosts, tokenFile }: RawSettings['admin']): Settings['admin'] {
    hosts.forEach((host, index) => {
      if (!/^[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?$/i.test(host)) {
        this.#error(['admin', 'hosts', index], `admin.hosts.${index} must be a host name without a port`);
      }
    });
    return tokenFile === undefined
      ? { hosts }
      : { hosts, token: this.#secret(['admin'], 'token', undefined, tokenFile) };
  }

  #proof(proof: RawSettings['proof'], shared: boolean): ProofSettings {
    const { nonce, ...dpop } = proof.dpop;
    const section = ['proof', 'dpop'];
    if (dpop.replays === 'required' && !shared) {
      const message = 'proof.dpop.replays: required needs introspection.cache.shared';
      this.#error([...section, 'replays'], message, 'missing-field');
    }
    dpop.algorithms.forEach((name, index) => {
      if (PROOF_ALGORITHMS.includes(name)) return;
      const known = PROOF_ALGORITHMS.join(', ');
      this.#error(
        [...section, 'algorithms', index],
        `proof.dpop.algorithms.${index} must be one of ${known}: a proof is signed with a private key`,
      );
    });
    const { secretFile, ...rest } = nonce;
    if (secretFile === undefined) return { ...proof, dpop: { ...dpop, nonce: rest } };
    const secret = this.#secret([...section, 'nonce'], 'secret', undefined, secretFile);
    const length = secret.reveal().length;
    if (length > 0 && length < 32) {
      const message = 'proof.dpop.nonce.secretFile must hold 32 bytes at least';
      this.#error([...section, 'nonce', 'secretFile'], message);
    }
    return { ...proof, dpop: { ...dpop, nonce: { ...rest, secret } } };
  }

  #endpoint(path: Path, url: string): void {
    const name = path.join('.');
    const parsed = URL.canParse(url) ? new URL(url) : undefined;
    if (parsed === undefined || !/^https?:$/.test(parsed.protocol)) {
      this.#error(path, `${name} must be an http or https URL`);
    } else if (parsed.username !== '' || parsed.password !== '') {
      this.#error(path, `${name} must hold no credentials; use introspection.clientAuth`);
    } else if (parsed.hash !== '') {
      this.#error(path, `${name} must have no fragment`);
    }
  }

  /** Where the file says nothing, the variables that every program with OpenTelemetry knows do. */
  #tracing(tracing: TracingSettings): TracingSettings {
    const {
      OTEL_SDK_DISABLED: disabled,
      OTEL_EXPORTER_OTLP_ENDPOINT: base = '',
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: exact = '',
    } = this.#environment;
    const standard = exact !== '' ? exact : base !== '' ? `${base.replace(/\/$/, '')}/v1/traces` : undefined;
    const endpoint = tracing.endpoint ?? (disabled?.toLowerCase() === 'true' ? undefined : standard);
    if (endpoint === undefined) return tracing;
    const parsed = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
    if (parsed === undefined || !/^https?:$/.test(parsed.protocol)) {
      const source = tracing.endpoint === undefined ? 'OTEL_EXPORTER_OTLP_ENDPOINT' : 'tracing.endpoint';
      this.#error(['tracing', 'endpoint'], `${source} must be an http or https URL`);
    }
    return { ...tracing, endpoint };
  }

  #headers(headers: Readonly<Record<string, string>>, method: string, section: Path): void {
    const seen = new Set<string>();
    for (const [name, value] of Object.entries(headers)) {
      const lower = name.toLowerCase();
      const problem = this.#headerProblem(lower, value, method, seen);
      if (problem !== undefined) {
        this.#error([...section, 'headers', name], `${section.join('.')}.headers.${name} ${problem}`);
      }
      seen.add(lower);
    }
  }

  #headerProblem(name: string, value: string, method: string, seen: ReadonlySet<string>): string | undefined {
    if (!TOKEN.test(name) || /[^\t\x20-\x7e]/.test(value)) return 'is no valid header field';
    if (RESERVED_HEADERS.has(name)) return 'is a field that the gateway itself must set';
    if (seen.has(name)) return 'is given twice';
    if (name === 'authorization' && IN_FIELD.has(method)) {
      return `is at odds with the method ${method} of clientAuth`;
    }
    return undefined;
  }

  #listener(name: 'proxy' | 'admin', listener: Listener): Listener {
    if (listener.tls === undefined) return listener;
    const section: Path = ['listen', name, 'tls'];
    const before = this.findings.length;
    const { clientCertificates, clientCa } = listener.tls;
    const verified = clientCertificates === 'optional' || clientCertificates === 'required';
    if (verified && clientCa === undefined) {
      this.#error(section, `${section.join('.')} must have the field "clientCa"`, 'missing-field');
    } else if (!verified && clientCa !== undefined) {
      const problem = `is of no use while clientCertificates is ${clientCertificates}`;
      this.#error([...section, 'clientCa'], `${section.join('.')}.clientCa ${problem}`);
    }
    const tls = {
      ...this.#files(section, listener.tls, ['cert', 'key', 'ca', 'clientCa']),
      certificates: listener.tls.certificates.map((each, index) =>
        this.#files([...section, 'certificates', index], each, ['cert', 'key', 'ca']),
      ),
    };
    if (this.findings.length === before) this.#identity(section, tls);
    return { ...listener, tls };
  }

  #identity(section: Path, files: TlsFiles): void {
    try {
      readIdentity(files);
    } catch (error) {
      if (!(error instanceof UnusableIdentity)) throw error;
      const path = [...section, ...error.path];
      this.#error(path, `${path.join('.')}: ${error.message}`, 'unusable-file');
    }
  }

  /** Resolves a section's file names and makes sure that each can be read. */
  #files<T extends object>(section: Path, values: T, keys: readonly (keyof T & string)[]): T {
    const resolved: Partial<Record<keyof T, string>> = {};
    for (const key of keys) {
      const value = values[key];
      if (typeof value !== 'string') continue;
      const file = this.#resolve(value);
      resolved[key] = file;
      try {
        accessSync(file, constants.R_OK);
      } catch (error) {
        this.#unreadable([...section, key], file, error);
      }
    }
    return { ...values, ...resolved };
  }

  #unreadable(path: Path, file: string, error: unknown): void {
    const { code, message } = error as NodeJS.ErrnoException;
    this.#error(path, `${path.join('.')}: ${file} cannot be used: ${code ?? message}`, 'unreadable-file');
  }

  #upstreamsTls(raw: UpstreamsTls): UpstreamsTls {
    const section: Path = ['forward', 'tls'];
    const origins = new Set<string>();
    const upstreams = raw.upstreams.map((each, index) => {
      const place: Path = [...section, 'upstreams', index];
      const { protocol, origin, href } = URL.canParse(each.origin) ? new URL(each.origin) : NO_URL;
      const problem =
        protocol !== 'https:' || href !== `${origin}/`
          ? 'must be an https origin such as https://name:8443'
          : origins.has(origin)
            ? 'is given twice'
            : undefined;
      if (problem !== undefined)
        this.#error([...place, 'origin'], `${[...place, 'origin'].join('.')} ${problem}`);
      origins.add(origin);
      return this.#clientTls(place, each);
    });
    return { ...this.#clientTls(section, raw), upstreams };
  }

  #cache({ shared, ...cache }: RawIntrospection['cache']): IntrospectionSettings['cache'] {
    const { enabled, ttl, refreshBefore } = cache;
    if (refreshBefore > 0 && (!enabled || refreshBefore >= ttl)) {
      const problem = enabled
        ? 'must be shorter than introspection.cache.ttl'
        : 'is of no use without introspection.cache.enabled';
      this.#error(
        ['introspection', 'cache', 'refreshBefore'],
        `introspection.cache.refreshBefore ${problem}`,
      );
    }
    if (shared === undefined) return cache;
    const section = ['introspection', 'cache', 'shared'];
    if (!enabled) {
      this.#error(section, 'introspection.cache.shared is of no use without introspection.cache.enabled');
    }
    const { keyFile, previousKeyFile, passwordFile, url, cluster, sentinel, ...rest } = shared;
    this.#user(section, shared);
    const first = this.#cipherKey([...section, 'keyFile'], keyFile);
    const more =
      previousKeyFile === undefined
        ? []
        : [this.#cipherKey([...section, 'previousKeyFile'], previousKeyFile)];
    return {
      ...cache,
      shared: {
        ...this.#clientTls(section, rest),
        place: this.#place(section, shared),
        keys: [first, ...more],
        ...(passwordFile === undefined
          ? {}
          : { password: this.#secret(section, 'password', undefined, passwordFile) }),
      },
    };
  }

  /** Where the shared store is. */
  #place(section: Path, { url, cluster, sentinel }: RawShared): StorePlace {
    const name = section.join('.');
    if ([url, cluster, sentinel].filter((each) => each !== undefined).length !== 1) {
      this.#error(
        section,
        `${name} must have one of the fields "url", "cluster" and "sentinel"`,
        'missing-field',
      );
    }
    if (url !== undefined) {
      this.#storeUrl([...section, 'url'], url, true);
      return { kind: 'single', url };
    }
    if (sentinel === undefined) {
      const nodes = cluster?.nodes ?? [];
      this.#storeUrls([...section, 'cluster', 'nodes'], nodes);
      return { kind: 'cluster', nodes };
    }
    const { nodes, master, database, username, passwordFile } = sentinel;
    this.#storeUrls([...section, 'sentinel', 'nodes'], nodes);
    this.#user([...section, 'sentinel'], sentinel);
    const place = { kind: 'sentinel', nodes, master, database } as const;
    if (passwordFile === undefined) return username === undefined ? place : { ...place, username };
    const password = this.#secret([...section, 'sentinel'], 'password', undefined, passwordFile);
    return {
      ...place,
      ...(username === undefined ? {} : { username }),
      password: () => password.reveal(),
    };
  }

  #user(
    section: Path,
    { username, passwordFile }: { readonly username?: string; readonly passwordFile?: string },
  ): void {
    if (username === undefined || passwordFile !== undefined) return;
    const name = [...section, 'username'].join('.');
    this.#error([...section, 'username'], `${name} is of no use without passwordFile`);
  }

  #storeUrls(path: Path, urls: readonly string[]): void {
    urls.forEach((url, index) => {
      this.#storeUrl([...path, index], url, false);
    });
    if (['redis:', 'rediss:'].every((scheme) => urls.some((url) => url.startsWith(scheme)))) {
      this.#error(path, `${path.join('.')} must be all redis:// or all rediss://`);
    }
  }

  /** @param database whether the address may name one */
  #storeUrl(path: Path, url: string, database: boolean): void {
    const parsed = URL.canParse(url) ? new URL(url) : undefined;
    const name = path.join('.');
    if (parsed === undefined || !/^rediss?:$/.test(parsed.protocol) || parsed.hostname === '') {
      this.#error(path, `${name} must be redis://host:port or rediss://host:port`);
    } else if (parsed.username !== '' || parsed.password !== '') {
      this.#error(path, `${name} must hold no credentials; use passwordFile`);
    } else if (!database && /[^/]/.test(parsed.pathname)) {
      this.#error(path, `${name} must name no database`);
    }
  }

  #cipherKey(path: Path, name: string): () => Buffer {
    const file = this.#resolve(name);
    try {
      return rereading([file], () => readCipherKey(file));
    } catch (error) {
      this.#unreadable(path, file, error);
      return () => Buffer.alloc(0);
    }
  }

  #servers(raw: readonly object[], main: string): AuthorizationServer[] {
    const urls = new Set(URL.canParse(main) ? [new URL(main).href] : []);
    return raw.map((each, index) => {
      const section: Path = ['introspection', 'servers', index];
      const server = this.#server(section, complete(serverSchema, each) as RawServer);
      const url = URL.canParse(server.url) ? new URL(server.url).href : undefined;
      if (url !== undefined && urls.has(url)) {
        const key = server.discovered ? 'issuer' : 'url';
        this.#error([...section, key], `${section.join('.')}.${key} is that of another server`);
      }
      if (url !== undefined) urls.add(url);
      return server;
    });
  }

  #server(section: Path, raw: RawServer): AuthorizationServer {
    const { url, issuer, headers, tls, clientAuth } = raw;
    const name = section.join('.');
    if (url !== undefined) this.#endpoint([...section, 'url'], url);
    if (issuer !== undefined) {
      this.#endpoint([...section, 'issuer'], issuer);
      if (issuer.includes('?')) this.#error([...section, 'issuer'], `${name}.issuer must have no query`);
    }
    if (url === undefined && issuer === undefined) {
      this.#error(section, `${name} must have the field "url" or "issuer"`, 'missing-field');
    }
    this.#headers(headers, clientAuth.method, section);
    const signed = this.#signed([...section, 'signed'], raw);
    return {
      url: url ?? issuer ?? '',
      ...(issuer === undefined ? {} : { issuer }),
      discovered: url === undefined,
      ...(signed === undefined ? {} : { signed }),
      headers,
      tls: this.#clientTls([...section, 'tls'], tls),
      clientAuth: this.#clientAuth([...section, 'clientAuth'], withAudience(raw), tls),
    };
  }

  #signed(section: Path, { signed, issuer, clientAuth }: RawServer): SignedAnswers | undefined {
    const name = section.join('.');
    const { required, algorithms, jwksUrl, audience = clientAuth.clientId, decryptionKeyFile } = signed;
    if (!required) {
      if (decryptionKeyFile !== undefined) {
        const problem = `is of no use without ${name}.required`;
        this.#error([...section, 'decryptionKeyFile'], `${name}.decryptionKeyFile ${problem}`);
      }
      return undefined;
    }
    if (issuer === undefined) {
      const server = section.slice(0, -1).join('.');
      this.#error(section, `${name}.required needs ${server}.issuer`, 'missing-field');
    }
    if (audience === undefined) {
      this.#error(section, `${name} must have the field "audience"`, 'missing-field');
    }
    algorithms.forEach((algorithm, index) => {
      if (/^(?:[RPE]S(?:256|384|512)|EdDSA|Ed25519)$/.test(algorithm)) return;
      const message = `${name}.algorithms.${index} must be one of a public key, such as RS256 or ES256`;
      this.#error([...section, 'algorithms', index], message);
    });
    if (jwksUrl !== undefined) this.#endpoint([...section, 'jwksUrl'], jwksUrl);
    return {
      issuer: issuer ?? '',
      audience: audience ?? '',
      algorithms,
      ...(jwksUrl === undefined ? {} : { jwksUrl }),
      ...(decryptionKeyFile === undefined
        ? {}
        : { decryption: this.#decryptionKeys([...section, 'decryptionKeyFile'], decryptionKeyFile) }),
    };
  }

  #decryptionKeys(path: Path, name: string): () => readonly DecryptionKey[] {
    const file = this.#resolve(name);
    try {
      return rereading([file], () => readDecryptionKeys(file));
    } catch (error) {
      this.#unreadable(path, file, error);
      return () => [];
    }
  }

  #clientTls<T extends ClientTls>(section: Path, raw: T): T {
    const before = this.findings.length;
    const tls = this.#files(section, raw, ['ca', 'cert', 'key']);
    if ((tls.cert === undefined) !== (tls.key === undefined)) {
      const missing = tls.cert === undefined ? 'cert' : 'key';
      this.#error(section, `${section.join('.')} must have the field "${missing}"`, 'missing-field');
    } else if (this.findings.length === before) {
      try {
        createSecureContext(readClientTls(tls));
      } catch {
        // The library's message is about its own internals.
        this.#error(
          section,
          `${section.join('.')}: these files are no certificates with their key`,
          'unreadable-file',
        );
      }
    }
    return tls;
  }

  #clientAuth(section: Path, raw: RawClientAuth, tls: ClientTls): ClientAuth {
    const name = section.join('.');
    const { method } = raw;
    const { needs, takes = [] } = METHODS[method];
    for (const [key, value] of Object.entries(raw)) {
      const field = key.replace(/(?<!^key)File$/, '');
      if (key === 'method' || needs.includes(field) || takes.includes(field)) continue;
      if (key === 'scope' && (value as readonly string[]).length === 0) continue;
      this.#error([...section, key], `${name}.${key} is of no use with the method ${method}`);
    }
    for (const key of needs) {
      if (key === 'clientSecret' || key === 'token' || raw[key as keyof RawClientAuth] !== undefined)
        continue;
      this.#error(section, `${name} must have the field "${key}"`, 'missing-field');
    }
    const { clientId = '', audience, scope } = raw;
    const clientSecret = () => this.#secret(section, 'clientSecret', raw.clientSecret, raw.clientSecretFile);
    switch (method) {
      case 'none':
        return { method };
      case 'basic':
      case 'post':
        return { method, clientId, clientSecret: clientSecret() };
      case 'bearer':
        return { method, token: this.#secret(section, 'token', raw.token, raw.tokenFile) };
      case 'tls':
        if (tls.cert === undefined) {
          this.#error(
            section,
            `the method tls needs ${[...section.slice(0, -1), 'tls'].join('.')}.cert`,
            'missing-field',
          );
        }
        return { method, clientId };
      case 'private_key_jwt':
        return { method, clientId, audience: audience ?? '', key: this.#assertionKey(section, raw) };
      case 'client_secret_jwt': {
        const { algorithm = 'HS256' } = raw;
        if (!/^HS(256|384|512)$/.test(algorithm)) {
          this.#error(
            [...section, 'algorithm'],
            'the method client_secret_jwt signs with HS256, HS384 or HS512',
          );
        }
        const secret = clientSecret();
        const key = () => ({ key: createSecretKey(secret.reveal(), 'utf8'), algorithm });
        return { method, clientId, audience: audience ?? '', key };
      }
      case 'pre_authorization':
        if (raw.tokenUrl !== undefined) this.#endpoint([...section, 'tokenUrl'], raw.tokenUrl);
        return {
          method,
          clientId,
          clientSecret: clientSecret(),
          tokenUrl: raw.tokenUrl ?? '',
          scope,
          ...(audience === undefined ? {} : { audience }),
        };
    }
  }

  #assertionKey(section: Path, { keyFile, keyId, algorithm }: RawClientAuth): () => AssertionKey {
    const chosen = {
      ...(keyId === undefined ? {} : { keyId }),
      ...(algorithm === undefined ? {} : { algorithm }),
    };
    try {
      if (keyFile === undefined) throw new Error('no file');
      const file = this.#resolve(keyFile);
      return rereading([file], () => readAssertionKey(file, chosen));
    } catch (error) {
      if (keyFile !== undefined) this.#unreadable([...section, 'keyFile'], this.#resolve(keyFile), error);
      return () => {
        throw new Error('no key');
      };
    }
  }

  #secret(section: Path, key: string, inline: string | undefined, file: string | undefined): Secret {
    const name = [...section, key].join('.');
    if (inline !== undefined && file !== undefined) {
      this.#error([...section, `${key}File`], `${name} and ${name}File are both given`);
    } else if (file !== undefined) {
      const path = this.#resolve(file);
      try {
        return readSecret(path);
      } catch (error) {
        this.#unreadable([...section, `${key}File`], path, error);
      }
    } else if (inline === undefined) {
      this.#error(section, `${section.join('.')} must have the field "${key}File"`, 'missing-field');
    }
    return new Secret(inline ?? '');
  }
}

const NO_URL = { protocol: '', origin: '', href: '' } as const;

/** What the admin port answers itself. */
const ADMIN_PATHS = ['/health', '/metrics', '/rules', '/status', '/explain', '/cache', '/version'] as const;

/** What frames the answer to a question, or says to the proxy what it does not mean. */
const ANSWER_FIELDS: ReadonlySet<string> = new Set([
  'cache-control',
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'date',
  'keep-alive',
  'location',
  'proxy-authenticate',
  'retry-after',
  'set-cookie',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'www-authenticate',
]);

/** An assertion is for the server itself, where the settings say who that is. */
function withAudience({ issuer, clientAuth }: RawServer): RawClientAuth {
  const fits = issuer !== undefined && clientAuth.method.endsWith('_jwt');
  return fits ? { audience: issuer, ...clientAuth } : clientAuth;
}

/** The methods of client authentication. */
type Method = ClientAuth['method'];

/** Those that fill the Authorization field. */
const IN_FIELD: ReadonlySet<string> = new Set<Method>(['basic', 'bearer', 'pre_authorization']);

/** The fields each method of client authentication takes; a secret may be given by its file. */
const METHODS: Readonly<
  Record<Method, { readonly needs: readonly string[]; readonly takes?: readonly string[] }>
> = {
  none: { needs: [] },
  basic: { needs: ['clientId', 'clientSecret'] },
  post: { needs: ['clientId', 'clientSecret'] },
  private_key_jwt: { needs: ['clientId', 'keyFile', 'audience'], takes: ['keyId', 'algorithm'] },
  client_secret_jwt: { needs: ['clientId', 'clientSecret', 'audience'], takes: ['algorithm'] },
  tls: { needs: ['clientId'] },
  bearer: { needs: ['token'] },
  pre_authorization: { needs: ['clientId', 'clientSecret', 'tokenUrl'], takes: ['scope', 'audience'] },
};
