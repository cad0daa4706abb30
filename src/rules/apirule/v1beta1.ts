import type { Finding } from '../../document/finding.js';
import type { Path, SourceDocument } from '../../document/yaml.js';
import { METHODS } from '../../model/methods.js';
import type { CorsEntry } from './cors.js';
import { apiRuleSchema, ruleSchema, specSchema } from './schema.js';
import type { ApiRuleVersion, RuleEntry, Service } from './version.js';

/** APIRule `v1beta1`, the version that the internal model follows. */
export const v1beta1: ApiRuleVersion = {
  documentSchema: apiRuleSchema,
  specSchema,
  ruleSchema,
  // Kyma removed the upstream's CORS fields only if the rule had a policy to replace them.
  removesCors: false,
  spec(value) {
    const { host, service, timeout, corsPolicy } = value as {
      readonly host: string;
      readonly service?: Service;
      readonly timeout?: number;
      readonly corsPolicy?: CorsEntry | null;
    };
    return { hosts: [{ text: host, path: ['spec', 'host'] }], service, timeout, corsPolicy };
  },
  entry(value, at, document, findings) {
    const rule = value as RuleEntry;
    return { ...rule, ...anyMethod(rule, at, document, findings), ...anyPath(rule, at, document, findings) };
  },
  places: (document) => document,
  words: (message) => message,
};

/**
 * Reads `methods: ["*"]`. Kyma ignored the methods of an `allow` rule: its route was for every method.
 * Oathkeeper compared methods as texts, so a rule with another handler never matched.
 */
function anyMethod(
  { methods, accessStrategies }: RuleEntry,
  at: Path,
  document: SourceDocument,
  findings: Finding[],
): Pick<RuleEntry, 'methods'> {
  const index = methods.indexOf('*');
  if (index < 0) return { methods };
  if (!accessStrategies.some(({ handler }) => handler === 'allow')) {
    const path = [...at, 'methods', index];
    const message =
      `${path.join('.')}: * is not a method (in Kyma it meant every method in an allow rule, and no method in other ` +
      `rules); list the methods that clients need, from ${METHODS.join(', ')}`;
    findings.push({ ...document.at(path), level: 'error', code: 'invalid-method', message });
  }
  return { methods: METHODS };
}

/**
 * Reads the path `/*`, and warns of others that look like a glob. As a regular expression it matches only slashes. If Kyma's jwt handler was that of
 * Istio, which is configured with `authentications`, `/*` meant all paths.
 */
function anyPath(
  { path }: RuleEntry,
  at: Path,
  document: SourceDocument,
  findings: Finding[],
): Pick<RuleEntry, 'path' | 'shown'> {
  const place = [...at, 'path'];
  const parameter = /\/(:[A-Za-z_]\w*)(?=\/|$)/.exec(path)?.[1];
  if (parameter !== undefined) {
    const message = `${place.join('.')}: ${parameter} matches only these characters, because a path is a regular expression; for one segment write [^/]+`;
    findings.push({ ...document.at(place), level: 'warning', code: 'glob-path', message });
  }
  if (path !== '/*') {
    const repeated = /(?<!\\)([\w/-])\*(?=\/|$)/.exec(path)?.[1];
    if (repeated !== undefined) {
      const message = `${place.join('.')}: * repeats the "${repeated}" before it, because a path is a regular expression; for any characters write .*`;
      findings.push({ ...document.at(place), level: 'warning', code: 'glob-path', message });
    }
    return { path };
  }
  const everything = hasIstioJwt(document);
  const meaning = everything
    ? "is read as /.*, all paths, as Kyma's Istio handler did; write /.*"
    : 'matches only the path /, because a path is a regular expression; did you mean /.*?';
  const message = `${place.join('.')}: /* ${meaning}`;
  findings.push({ ...document.at(place), level: 'warning', code: 'glob-path', message });
  return everything ? { path: '/.*', shown: path } : { path };
}

function hasIstioJwt({ value }: SourceDocument): boolean {
  const { spec } = value as { readonly spec?: { readonly rules?: readonly unknown[] } };
  return (spec?.rules ?? []).some((rule) => {
    const { accessStrategies } = (rule ?? {}) as { readonly accessStrategies?: unknown };
    if (!Array.isArray(accessStrategies)) return false;
    return accessStrategies.some(
      (each) => each?.handler === 'jwt' && Array.isArray(each.config?.authentications),
    );
  });
}
