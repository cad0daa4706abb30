import type { LoadOptions } from '../../src/rules/load.js';

/** Settings of a plain gateway, as the rule tests need them. */
export const options: LoadOptions = {
  services: { default: 'http://{name}.{namespace}:{port}' },
  timeout: 180_000,
  overlap: 'error',
  version: 1,
  resources: [],
  limits: { timeout: 60_000, maxBytes: 33_554_432 },
  handlers: {
    scopeStrategy: 'exact',
    endpoint: { url: 'http://hydra:4445/admin/oauth2/introspect', headers: {}, auth: { method: 'none' } },
    leeway: 0,
  },
};
