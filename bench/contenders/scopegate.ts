import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { start } from '../child.js';
import type { Contender } from '../contender.js';

/** The tutorial's rules. */
export const RULES = `apiVersion: gateway.kyma-project.io/v1beta1
kind: APIRule
metadata: { name: httpbin, namespace: default }
spec:
  gateway: kyma-system/kyma-gateway
  host: gate.example
  service: { name: httpbin, port: 8000 }
  rules:
    - path: /.*
      methods: ["GET"]
      accessStrategies:
        - handler: oauth2_introspection
          config: { required_scope: ["read"] }
    - path: /post
      methods: ["POST"]
      accessStrategies:
        - handler: oauth2_introspection
          config: { required_scope: ["write"] }
`;

/** scopegate complete: rules, decision, audit line, metrics. */
export const scopegate: Contender = withRules('scopegate', RULES);

/**
 * The same with a cache in which so many tokens stay for as long as anything is measured.
 *
 * @param entries answers it may hold
 */
export function withTokens(name: string, entries: number): Contender {
  return withRules(name, RULES, { ttl: '1h', maxEntries: entries, maxBytes: 0 });
}

/**
 * The same with other rules.
 *
 * @param rules APIRules whose service is `httpbin`
 * @param cache `introspection.cache`
 */
export function withRules(name: string, rules: string, cache: object = {}): Contender {
  return {
    name,
    introspects: true,
    secure: true,
    missing: () => undefined,
    start({ folder, port, upstreamPort, introspectionUrl, profile, tls }) {
      writeFileSync(join(folder, 'rules.yaml'), rules);
      const secure = tls === undefined ? {} : { tls: { cert: tls.cert, key: tls.key } };
      const settings = join(folder, 'settings.yaml');
      writeFileSync(
        settings,
        JSON.stringify({
          listen: { proxy: { host: '127.0.0.1', port, ...secure }, admin: { host: '127.0.0.1', port: 0 } },
          rules: ['./rules.yaml'],
          services: { httpbin: `http://127.0.0.1:${upstreamPort}` },
          introspection: { url: introspectionUrl, cache },
        }),
      );
      // As published, which `npm run bench` makes first; a profile is read more easily with a file for each module.
      const bundle = fileURLToPath(new URL('../../bundle/cli.js', import.meta.url));
      const modules = fileURLToPath(new URL('../../src/cli.js', import.meta.url));
      const cli = profile === undefined && existsSync(bundle) ? bundle : modules;
      const flags = profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', profile];
      return start(0, process.execPath, [...flags, cli, 'serve', '--config', settings], join(folder, 'log'));
    },
  };
}
