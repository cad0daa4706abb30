import { join } from 'node:path';
import type { Test } from 'tap';
import { stringify } from 'yaml';
import { formatFinding } from '../../../src/document/finding.js';
import { type LoadOptions, loadRules } from '../../../src/rules/load.js';
import { options } from '../options.js';

export const JWT = {
  authentications: [{ issuer: 'https://as.example', jwksUri: 'https://as.example/keys' }],
};
export const introspection = (scope: string): object => ({
  handler: 'oauth2_introspection',
  config: { required_scope: [scope] },
});
export const rule = (path: string, methods: string[], ...accessStrategies: object[]): object => ({
  path,
  methods,
  accessStrategies,
});

/** An APIRule `depot/parcels`. */
export function apiRule(version: string, spec: object, annotations?: object): object {
  return {
    apiVersion: `gateway.kyma-project.io/${version}`,
    kind: 'APIRule',
    metadata: { name: 'parcels', namespace: 'depot', ...(annotations === undefined ? {} : { annotations }) },
    spec,
  };
}

export function v1beta1(rules: readonly object[], more: object = {}): object {
  const service = { name: 'parcels', port: 8080 };
  return apiRule('v1beta1', { gateway: 'a/b', host: 'parcels.example', service, rules, ...more });
}

export function v2(rules: readonly object[], annotations?: object): object {
  const service = { name: 'parcels', port: 8080 };
  return apiRule('v2', { gateway: 'a/b', hosts: ['parcels.example'], service, rules }, annotations);
}

export function load(t: Test, document: object | string, more: Partial<LoadOptions> = {}) {
  const folder = t.testdir({ 'r.yaml': typeof document === 'string' ? document : stringify(document) });
  const { table, findings } = loadRules([join(folder, 'r.yaml')], { ...options, ...more });
  const lines = findings.map((finding) => formatFinding(finding).replaceAll(`${folder}/`, ''));
  return { table, findings, lines };
}
