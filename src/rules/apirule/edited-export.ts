import { isDeepStrictEqual } from 'node:util';
import { type JsonObject, membersOf } from '../../model/json.js';
import { compilePattern } from '../pattern/pattern.js';
import { relate } from '../pattern/relation.js';
import { pathPattern } from './path-template.js';

/**
 * Compares the two specs of an exported APIRule. Kyma writes the visible spec from the v1beta1 spec in the
 * annotation (`ConvertFrom` in `apis/gateway/v2/apirule_conversion.go`), so they mean the same until somebody
 * edits one of them.
 *
 * @param shown the visible spec, in the form of v2
 * @param kept the v1beta1 spec in the annotation
 * @returns the name of the first field whose meaning differs (`rules.0.jwt`); undefined if there is none
 */
export function differingField(shown: JsonObject, kept: JsonObject): string | undefined {
  if (!sameHosts(list(shown.hosts), kept.host)) return 'hosts';
  for (const field of ['service', 'timeout'] as const) if (!same(shown[field], kept[field])) return field;
  if (!same(corsOf(shown.corsPolicy), corsOf(kept.corsPolicy))) return 'corsPolicy';
  const rules = list(shown.rules).map(membersOf);
  const others = list(kept.rules).map(membersOf);
  if (rules.length !== others.length) return 'rules';
  for (const [index, rule] of rules.entries()) {
    const field = differingRuleField(rule, others[index] ?? {});
    if (field !== undefined) return `rules.${index}.${field}`;
  }
  return undefined;
}

function differingRuleField(shown: JsonObject, kept: JsonObject): string | undefined {
  if (!samePath(shown.path, kept.path)) return 'path';
  if (!same(list(shown.methods).toSorted(), list(kept.methods).toSorted())) return 'methods';
  for (const field of ['service', 'timeout'] as const) if (!same(shown[field], kept[field])) return field;
  if (!same(accessShown(shown), accessKept(kept))) {
    return ['jwt', 'noAuth', 'extAuth'].find((field) => isGiven(shown[field])) ?? 'jwt';
  }
  return same(shown.request, requestOf(kept)) ? undefined : 'request';
}

/**
 * Whether the hosts are the same. Kyma copies the one host of v1beta1 unchanged, but its controller may have
 * appended the cluster's domain.
 */
function sameHosts(shown: readonly unknown[], kept: unknown): boolean {
  const [host] = shown;
  if (shown.length !== 1 || typeof host !== 'string' || typeof kept !== 'string') return false;
  const [a, b] = [host.toLowerCase(), kept.toLowerCase()];
  return a === b || (!b.includes('.') && a.startsWith(`${b}.`));
}

/**
 * Whether the paths are the same. Kyma copies paths unchanged. Somebody may also have written the same path
 * in the syntax of v2.
 */
function samePath(shown: unknown, kept: unknown): boolean {
  if (shown === kept) return true;
  if (typeof shown !== 'string' || typeof kept !== 'string') return false;
  const template = pathPattern(shown);
  if ('problem' in template) return false;
  const [a, b] = [template.source, kept].map((source) => compilePattern(source, { undecided: 'refuse' }));
  return a?.ok === true && b?.ok === true && relate(a.pattern, b.pattern).relation === 'equal';
}

function accessShown({ noAuth, jwt, extAuth }: JsonObject): unknown {
  return { ...(noAuth === true ? { open: true } : {}), jwt, extAuth };
}

/** Converts access strategies to the form of v2; undefined for those that v2 cannot express. */
function accessKept({ accessStrategies }: JsonObject): unknown {
  const strategies = list(accessStrategies).map(membersOf);
  const [{ handler, config } = {}] = strategies;
  if (strategies.length !== 1) return undefined;
  if (handler === 'jwt') return { jwt: jwtOf(membersOf(config)) };
  return OPEN.has(handler) ? { open: true } : undefined;
}

const OPEN: ReadonlySet<unknown> = new Set(['no_auth', 'allow', 'noop']);

/**
 * Converts a `jwt` configuration. Kyma converts one issuer with one key set from Oathkeeper's form to Istio's
 * (`jwt_conversion.go`).
 */
function jwtOf(config: JsonObject): unknown {
  if (config.authentications !== undefined || config.authorizations !== undefined) return config;
  const [issuer] = list(config.trusted_issuers);
  const [jwksUri] = list(config.jwks_urls);
  return {
    authentications: [{ issuer, jwksUri }],
    authorizations: [{ requiredScopes: config.required_scope, audiences: config.target_audience }],
  };
}

function requestOf({ mutators }: JsonObject): unknown {
  const request: Record<string, unknown> = {};
  for (const { handler, config } of list(mutators).map(membersOf)) {
    const field = handler === 'header' ? 'headers' : handler === 'cookie' ? 'cookies' : undefined;
    if (field !== undefined) request[field] = membersOf(config)[field] ?? config;
    else if (handler !== 'noop') request.other = handler;
  }
  return request;
}

/** Removes `maxAge`, which the versions write in different ways. */
function corsOf(policy: unknown): unknown {
  const { maxAge: _, ...others } = membersOf(policy);
  return others;
}

/**
 * Whether two values are equal, ignoring empty ones: for an empty value Kyma writes `null`, `[]` or nothing.
 */
function same(a: unknown, b: unknown): boolean {
  return isDeepStrictEqual(withoutEmpty(a), withoutEmpty(b));
}

function withoutEmpty(value: unknown): unknown {
  if (Array.isArray(value)) {
    const items = value.map(withoutEmpty).filter((item) => item !== undefined);
    return items.length === 0 ? undefined : items;
  }
  if (typeof value !== 'object' || value === null) return value ?? undefined;
  const entries = Object.entries(value)
    .map(([key, item]) => [key, withoutEmpty(item)] as const)
    .filter(([, item]) => item !== undefined);
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
