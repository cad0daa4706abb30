import type { RuleDefaults } from '../../rules/apirule/apirule.js';

/** An APIRule as plain data, ready to print. */
export type ApiRule = Readonly<Record<string, unknown>>;

/** Placeholder settings, with which each APIRule is compiled once. */
export const TRIAL: RuleDefaults = {
  services: { default: 'http://{name}:{port}' },
  timeout: 180_000,
  domain: 'cluster.invalid',
  handlers: {
    scopeStrategy: 'exact',
    endpoint: { url: 'http://introspection.invalid/', headers: {}, auth: { method: 'none' } },
    leeway: 0,
  },
};
