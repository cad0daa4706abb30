import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import createApp, { type FastifyInstance, type FastifyServerOptions } from 'fastify';
import scopegate from '../../src/fastify/plugin.js';
import type { ScopegateOptions } from '../../src/fastify/plugin-types.js';
import { type Scope, VECTOR_RULES, VECTOR_TOKENS } from '../gateway.js';
import { type IntrospectionEndpoint, startIntrospection } from '../introspection.js';
import { startUpstream, type Upstream } from '../upstream.js';

/** An application with the plugin, between an introspection endpoint and an upstream of the test's own. */
export interface TestApp {
  readonly app: FastifyInstance;
  readonly port: number;
  readonly url: string;
  readonly endpoint: IntrospectionEndpoint;
  readonly upstream: Upstream;
  /** Every audit and log line so far, parsed. */
  readonly log: Record<string, unknown>[];
  /** The folder with the settings and the rules. */
  readonly folder: string;
}

/** What a test may say about its application. */
export interface TestAppOptions extends Omit<ScopegateOptions, 'settings'> {
  /** YAML of rules; default {@link VECTOR_RULES}. */
  readonly rules?: string;
  /** Settings laid over the defaults of this fixture, section by section. */
  readonly settings?: Readonly<Record<string, object | string | number | boolean>>;
  readonly tokens?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly respond?: RequestListener;
  readonly upstreamUrl?: string;
  /** Of the application. */
  readonly server?: FastifyServerOptions;
  /** Declares what comes before the plugin. */
  readonly before?: (app: FastifyInstance) => unknown;
  /** Declares what comes after it. */
  readonly after?: (app: FastifyInstance) => unknown;
}

/** Starts one; everything ends with the test. */
export async function startTestApp(t: Scope, options: TestAppOptions = {}): Promise<TestApp> {
  const { rules, settings, tokens, respond, upstreamUrl, server, before, after, ...plugin } = options;
  const endpoint = await startIntrospection(tokens ?? VECTOR_TOKENS);
  const upstream = await startUpstream(respond);
  const folder = mkdtempSync(join(tmpdir(), 'scopegate-fastify-'));
  writeFileSync(join(folder, 'rules.yaml'), rules ?? VECTOR_RULES);
  const base: Record<string, object | string | number | boolean> = {
    rules: [join(folder, 'rules.yaml')],
    services: { default: upstreamUrl ?? upstream.url },
    introspection: { url: endpoint.url },
    matching: { overlap: 'specific' },
    // The event loop is the test's own as well.
    server: { maxEventLoopDelay: '0s' },
  };
  for (const [name, value] of Object.entries(settings ?? {})) {
    const section = base[name];
    base[name] =
      typeof value === 'object' && !Array.isArray(value) ? { ...Object(section), ...value } : value;
  }
  const log: Record<string, unknown>[] = [];
  const app = createApp(server ?? {}) as unknown as FastifyInstance;
  t.teardown(async () => {
    upstream.server.closeAllConnections();
    // A server of HTTP/2 does not have it.
    app.server.closeAllConnections?.();
    await app.close();
    await Promise.all([endpoint.close(), upstream.close()]);
    rmSync(folder, { recursive: true });
  });
  await before?.(app);
  await app.register(scopegate, {
    environment: {},
    destination: { write: (line: string) => void log.push(JSON.parse(line) as Record<string, unknown>) },
    ...plugin,
    settings: base,
  });
  await after?.(app);
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  return { app, port, url: `http://127.0.0.1:${port}`, endpoint, upstream, log, folder };
}
