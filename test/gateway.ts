import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Gateway, startGateway } from '../src/app/gateway.js';
import { loadOptions } from '../src/commands/load.js';
import { loadSettings, type Settings } from '../src/config/settings.js';
import { formatFinding } from '../src/document/finding.js';
import { type Clock, systemClock } from '../src/model/clock.js';
import type { RuleTable } from '../src/model/rule.js';
import { loadRules } from '../src/rules/load.js';
import { type IntrospectionEndpoint, startIntrospection } from './introspection.js';
import { startUpstream, type Upstream } from './upstream.js';
import { upstreamClient } from './upstream-client.js';

/** The part of tap's test object that fixtures need. */
export interface Scope {
  teardown(end: () => unknown): void;
}

/** A whole gateway in this process, between an introspection endpoint and an upstream of the test's own. */
export interface TestGateway {
  readonly gateway: Gateway;
  readonly settings: Settings;
  /** The rules that it was started with. */
  readonly table: RuleTable;
  /** The proxy listener's base URL and port. */
  readonly url: string;
  readonly port: number;
  /** The admin listener's. */
  readonly adminUrl: string;
  readonly adminPort: number;
  readonly endpoint: IntrospectionEndpoint;
  readonly upstream: Upstream;
  /** Every log line so far, parsed. */
  readonly log: Record<string, unknown>[];
}

/** What a test may say about its gateway. */
export interface TestGatewayOptions {
  /** YAML of `rules` documents; default {@link VECTOR_RULES}. */
  readonly rules?: string;
  /** Settings laid over the defaults, as the settings file would have them. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Token → introspection answer without `active`; default {@link VECTOR_TOKENS}. */
  readonly tokens?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** How the upstream answers. */
  readonly respond?: RequestListener;
  /** Another upstream than one of this fixture's making. */
  readonly upstreamUrl?: string;
  readonly clock?: Clock;
}

/** The rules that the vectors of paths and raw requests speak of. */
export const VECTOR_RULES = apiRule('gate.example', [
  rule('/.*', ['GET'], 'read'),
  rule('/post', ['POST'], 'write'),
  rule('/admin(/.*)?', ['GET'], 'admin'),
]);

/** The tokens that the vectors speak of. */
export const VECTOR_TOKENS = {
  'good-read': { scope: 'read', sub: 'reader', client_id: 'c-read' },
  'good-write': { scope: 'write', sub: 'writer', client_id: 'c-write' },
  'good-admin': { scope: 'admin', sub: 'admin', client_id: 'c-admin' },
} as const;

/** One rule of an APIRule as YAML's flow style (JSON). */
export function rule(path: string, methods: readonly string[], scope: string, more: object = {}): object {
  return {
    path,
    methods,
    accessStrategies: [{ handler: 'oauth2_introspection', config: { required_scope: [scope] } }],
    ...more,
  };
}

/** An APIRule document (JSON is YAML). */
export function apiRule(host: string, rules: readonly object[], name = 'gate'): string {
  return JSON.stringify({
    apiVersion: 'gateway.kyma-project.io/v1beta1',
    kind: 'APIRule',
    metadata: { name, namespace: 'default' },
    spec: { gateway: 'default/gate', host, service: { name: 'upstream', port: 80 }, rules },
  });
}

/** Starts one; everything ends with the test. */
export async function startTestGateway(t: Scope, options: TestGatewayOptions = {}): Promise<TestGateway> {
  const endpoint = await startIntrospection(options.tokens ?? VECTOR_TOKENS);
  const upstream = await startUpstream(options.respond);
  const folder = mkdtempSync(join(tmpdir(), 'scopegate-'));
  writeFileSync(join(folder, 'rules.yaml'), options.rules ?? VECTOR_RULES);
  const file = join(folder, 'settings.yaml');
  const base = {
    listen: { proxy: { host: '127.0.0.1', port: 0 }, admin: { host: '127.0.0.1', port: 0 } },
    rules: ['./rules.yaml'],
    services: { default: options.upstreamUrl ?? upstream.url },
    introspection: { url: endpoint.url },
    matching: { overlap: 'specific' },
    // The event loop is the test's own as well.
    server: { maxEventLoopDelay: '0s', drainGrace: '0s' },
  };
  writeFileSync(file, JSON.stringify(merge(base, options.settings ?? {})));
  const { settings, findings } = loadSettings(file, {});
  if (settings === undefined) throw new Error(findings.map(formatFinding).join('\n'));
  const loaded = loadRules(settings.rules, loadOptions(settings, 1));
  if (loaded.table === undefined) throw new Error(loaded.findings.map(formatFinding).join('\n'));

  const log: Record<string, unknown>[] = [];
  const gateway = await startGateway(settings, loaded.table, {
    destination: { write: (line: string) => void log.push(JSON.parse(line) as Record<string, unknown>) },
    clock: options.clock ?? systemClock,
    createClient: upstreamClient,
  });
  t.teardown(async () => {
    upstream.server.closeAllConnections();
    await gateway.close();
    await Promise.all([endpoint.close(), upstream.close()]);
    rmSync(folder, { recursive: true });
  });
  return {
    gateway,
    settings,
    table: loaded.table,
    url: gateway.proxyUrl,
    port: Number(new URL(gateway.proxyUrl).port),
    adminUrl: gateway.adminUrl,
    adminPort: Number(new URL(gateway.adminUrl).port),
    endpoint,
    upstream,
    log,
  };
}

function merge(base: object, over: object): object {
  const result: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const before = result[key];
    const both = isPlain(before) && isPlain(value);
    result[key] = both ? merge(before, value) : value;
  }
  return result;
}

function isPlain(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
