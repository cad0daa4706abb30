import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../../src/model/clock.js';
import { ask } from '../../ask.js';
import { type Scope, startTestGateway, type TestGateway } from '../../gateway.js';
import { type IntrospectionEndpoint, startIntrospection } from '../../introspection.js';
import { until } from '../../until.js';

/** Gateways before one authorization server that share a store. */
export interface Fleet {
  readonly server: IntrospectionEndpoint;
  /** The key of all, and another one. */
  readonly keyFile: string;
  readonly newKeyFile: string;
  /** Starts one more. @param more settings of the shared cache, and those of `proof.dpop`. @param reached whether the store is waited for */
  gateway(more?: object, dpop?: object, reached?: boolean): Promise<TestGateway>;
}

/**
 * @param shared `introspection.cache.shared` of all, but for the key
 * @param tokens token → introspection answer without `active`
 * @param cache `introspection.cache` of all, but for that
 */
export async function startFleet(
  t: Scope,
  shared: object,
  tokens: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  clock?: Clock,
  cache: object = {},
): Promise<Fleet> {
  const folder = mkdtempSync(join(tmpdir(), 'scopegate-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const keyFile = join(folder, 'key');
  const newKeyFile = join(folder, 'new');
  writeFileSync(keyFile, `${randomBytes(32).toString('base64')}\n`);
  writeFileSync(newKeyFile, randomBytes(32).toString('hex'));
  const server = await startIntrospection({ ...tokens });
  t.teardown(() => server.close());
  return {
    server,
    keyFile,
    newKeyFile,
    async gateway(more = {}, dpop = {}, reached = true) {
      const gate = await startTestGateway(t, {
        ...(clock === undefined ? {} : { clock }),
        settings: {
          introspection: {
            url: server.url,
            timeout: '5s',
            cache: { ...cache, shared: { keyFile, timeout: '2s', ...shared, ...more } },
          },
          proof: { dpop },
          log: { level: 'debug' },
        },
      });
      if (!reached) return gate;
      // The connections are made in the background.
      await until(() => gate.log.some(({ msg }) => msg === 'listening for purges of other gateways'));
      await until(async () => (await purge(gate, { token: 'nobody' })).told);
      return gate;
    },
  };
}

/** `POST /cache/purge`. */
export async function purge(
  gate: Pick<TestGateway, 'adminUrl'>,
  body: object,
): Promise<{ purged: number; told: boolean }> {
  const reply = await fetch(`${gate.adminUrl}/cache/purge`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return (await reply.json()) as { purged: number; told: boolean };
}

/** What a request with a token is answered. */
export async function status(gate: TestGateway, token: string): Promise<number> {
  return (await ask(gate, '/x', { token })).status;
}

/** Where the answer about the last request's token came from. */
export function source(gate: TestGateway): unknown {
  return gate.log.findLast(({ audit }) => audit !== undefined)?.introspection;
}
