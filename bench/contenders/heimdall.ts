import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../../test/stack/port.js';
import { start } from '../child.js';
import type { Contender } from '../contender.js';
import { ISSUER } from '../token.js';
import { unnamed } from './installed.js';

/**
 * heimdall as a proxy, with its cache in memory; https://dadrus.github.io/heimdall/. Its authenticator answers 401 for a
 * missing scope, so an authorizer looks at the scope and answers 403.
 */
export const heimdall: Contender = {
  name: 'heimdall',
  introspects: true,
  secure: true,
  missing: () => unnamed('HEIMDALL', 'build or download it: https://github.com/dadrus/heimdall'),
  async start({ folder, port, upstreamPort, introspectionUrl, tls }) {
    const rules = {
      version: '1beta1',
      name: 'bench',
      rules: [
        {
          id: 'bench',
          match: { http: { hosts: ['gate.example'], paths: [{ path: '/**' }], methods: ['GET'] } },
          forward_to: { host: `127.0.0.1:${upstreamPort}`, rewrite: { scheme: 'http' } },
          execute: [{ authenticator: 'token' }, { authorizer: 'scope' }],
        },
      ],
    };
    writeFileSync(join(folder, 'rules.json'), JSON.stringify(rules));
    const settings = join(folder, 'heimdall.json');
    const store = { type: 'pem', config: { path: tls?.both } };
    writeFileSync(
      settings,
      JSON.stringify({
        metrics: { enabled: false },
        serve: {
          host: '127.0.0.1',
          port,
          ...(tls === undefined ? {} : { tls: { secret: { source: 'server' } } }),
        },
        management: { host: '127.0.0.1', port: await freePort() },
        cache: { type: 'in-memory' },
        ...(tls === undefined ? {} : { secret_management: { server: store } }),
        mechanisms: {
          authenticators: [
            {
              id: 'token',
              type: 'oauth2_introspection',
              config: {
                introspection_endpoint: { url: introspectionUrl },
                assertions: { issuers: [ISSUER] },
                cache_ttl: '60s',
              },
            },
          ],
          authorizers: [
            {
              id: 'scope',
              type: 'cel',
              config: { expressions: [{ expression: '"read" in Subject.Attributes.scope.split(" ")' }] },
            },
          ],
        },
        providers: { file_system: { src: join(folder, 'rules.json') } },
      }),
    );
    const args = ['serve', 'proxy', '--config', settings, '--insecure'];
    // Without a name for it, it sends traces to a collector.
    const environment = { OTEL_SDK_DISABLED: 'true', OTEL_TRACES_EXPORTER: 'none' };
    return start(0, process.env.HEIMDALL as string, args, join(folder, 'log'), environment);
  },
};
