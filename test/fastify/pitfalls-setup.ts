import type { StartFront } from '../proxy/front.js';
import { FORWARD_RULES } from '../proxy/raw.js';
import { startTestApp, type TestApp, type TestAppOptions } from './app.js';

// What Fastify, @fastify/http-proxy, @fastify/reply-from and undici do by default and the plugin must not do: as for the
// gateway in test/proxy/pitfalls.test.ts and test/proxy/advisories.test.ts, each default has its test.

export const START: TestAppOptions = { rules: FORWARD_RULES, upstreams: true };

export const start: StartFront<TestApp> = (t, options) => startTestApp(t, { ...START, ...options });
