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
export const scopegate: Contender = varied('scopegate', {});

/** What a gateway has that the tutorial's has not. */
export interface Variation {
  /** APIRules whose service is `httpbin`; made when the gateway starts, because some are large. */
  readonly rules?: () => string;
  /** Members of `introspection`. */
  readonly introspection?: object;
  /** Other sections of the settings. */
  readonly settings?: object;
  /** The port of the admin listener; any by default. */
  readonly admin?: number;
  /** Seconds within which it must listen. */
  readonly patience?: number;
}

/**
 * The same with a cache in which so many tokens stay for as long as anything is measured.
 *
 * @param entries answers it may hold
 */
export function withTokens(name: string, entries: number): Contender {
  return varied(name, { introspection: { cache: { ttl: '1h', maxEntries: entries, maxBytes: 0 } } });
}

/** The same with other rules or settings. */
export function varied(name: string, variation: Variation): Contender {
  const { rules = () => RULES, introspection, settings: others, admin = 0, patience } = variation;
  return {
    name,
    introspects: true,
    secure: true,
    ...(patience === undefined ? {} : { patience }),
    missing: () => undefined,
    start({ folder, port, upstreamPort, introspectionUrl, profile, tls }) {
      writeFileSync(join(folder, 'rules.yaml'), rules());
      const secure = tls === undefined ? {} : { tls: { cert: tls.cert, key: tls.key } };
      const settings = join(folder, 'settings.yaml');
      writeFileSync(
        settings,
        JSON.stringify({
          listen: {
            proxy: { host: '127.0.0.1', port, ...secure },
            admin: { host: '127.0.0.1', port: admin },
          },
          rules: ['./rules.yaml'],
          services: { httpbin: `http://127.0.0.1:${upstreamPort}` },
          ...others,
          introspection: { url: introspectionUrl, ...introspection },
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
