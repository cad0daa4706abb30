import type { Scope } from '../gateway.js';
import { FORWARD_RULES, startRawUpstream } from '../proxy/raw.js';
import { startTestApp, type TestAppOptions } from './app.js';

// What Fastify, @fastify/http-proxy, @fastify/reply-from and undici do by default and the plugin must not do: as for the
// gateway in test/proxy/pitfalls.test.ts and test/proxy/advisories.test.ts, each default has its test.

export const START: TestAppOptions = { rules: FORWARD_RULES, upstreams: true };

/** An application before an upstream that says the same to everyone. */
export async function saying(t: Scope, answer: string | readonly string[], more: TestAppOptions = {}) {
  const raw = await startRawUpstream(t, (socket) => {
    for (const part of [answer].flat()) socket.write(part, 'latin1');
  });
  return { raw, ...(await startTestApp(t, { ...START, upstreamUrl: raw.url, ...more })) };
}
