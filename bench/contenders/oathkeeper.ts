import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../../test/stack/port.js';
import { start } from '../child.js';
import type { Contender } from '../contender.js';
import { unnamed } from './installed.js';

/** Ory Oathkeeper with its cache of introspection answers; https://www.ory.sh/docs/oathkeeper/reference/configuration */
export const oathkeeper: Contender = {
  name: 'oathkeeper',
  introspects: true,
  secure: true,
  missing: () => unnamed('OATHKEEPER', 'build or download it: https://github.com/ory/oathkeeper'),
  async start({ folder, port, upstreamPort, introspectionUrl, tls }) {
    const rule = {
      id: 'bench',
      match: { url: `<https?>://gate.example/<.*>`, methods: ['GET'] },
      upstream: { url: `http://127.0.0.1:${upstreamPort}`, preserve_host: false },
      authenticators: [{ handler: 'oauth2_introspection', config: { required_scope: ['read'] } }],
      authorizer: { handler: 'allow' },
      mutators: [{ handler: 'noop' }],
    };
    writeFileSync(join(folder, 'rules.json'), JSON.stringify([rule]));
    const serving = { host: '127.0.0.1' };
    const settings = join(folder, 'oathkeeper.json');
    writeFileSync(
      settings,
      JSON.stringify({
        serve: {
          proxy: {
            ...serving,
            port,
            ...(tls === undefined ? {} : { tls: { cert: { path: tls.cert }, key: { path: tls.key } } }),
          },
          api: { ...serving, port: await freePort() },
          prometheus: { ...serving, port: await freePort() },
        },
        access_rules: { matching_strategy: 'regexp', repositories: [`file://${folder}/rules.json`] },
        authenticators: {
          oauth2_introspection: {
            enabled: true,
            config: {
              introspection_url: introspectionUrl,
              scope_strategy: 'exact',
              cache: { enabled: true, ttl: '60s' },
            },
          },
        },
        authorizers: { allow: { enabled: true } },
        mutators: { noop: { enabled: true } },
        errors: { fallback: ['json'], handlers: { json: { enabled: true } } },
      }),
    );
    const binary = process.env.OATHKEEPER as string;
    // Without the variable it reports its use to its makers.
    const environment = { SQA_OPT_OUT: 'true' };
    return start(0, binary, ['serve', '--config', settings], join(folder, 'log'), environment);
  },
};
