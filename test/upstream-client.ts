import type { CreateUpstreamClient } from '../src/proxy/upstream/client.js';
import { UndiciClient } from './proxy/upstream/undici-client.js';

/**
 * What gateways of this process send requests with: the program's own client, or the one over undici that
 * `UPSTREAM_CLIENT=undici` asks for (test/proxy/upstream/oracle.slow.ts).
 */
export const upstreamClient: CreateUpstreamClient | undefined =
  process.env.UPSTREAM_CLIENT === 'undici' ? (options) => new UndiciClient(options) : undefined;
