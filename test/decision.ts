import type { Rule, RuleTable } from '../src/model/rule.js';
import type { AccessStrategy, Services } from '../src/model/strategy.js';
import { type Fields, readFields } from '../src/parse/fields.js';
import { canonicalTarget, type Target } from '../src/parse/target.js';
import { noRemote } from './remote.js';

/** A rule for GET and POST on one path of `gate.example`. */
export function ruleOf(path: string, strategies: readonly AccessStrategy[]): Rule {
  return {
    id: `default/test${path}`,
    source: 'test:1:1',
    hosts: ['gate.example'],
    methods: ['GET', 'POST'],
    path,
    pattern: new RegExp(`^(?:${path})$`),
    strategies,
    upstream: { origin: 'http://upstream.example', authority: 'upstream.example' },
    timeout: 1_000,
    allows: { encodedSlash: false, encodedPercent: false, semicolon: false, emptySegments: false },
  };
}

/** A table of rules that do not overlap. */
export function tableOf(rules: readonly Rule[]): RuleTable {
  return {
    version: 1,
    rules,
    find: (host, method, path) =>
      rules.find(
        ({ hosts, methods, pattern }) =>
          hosts.includes(host) && methods.includes(method) && pattern.test(path),
      ),
  };
}

/** A request as it arrives: canonical target and fields, on `gate.example`. */
export function arrival(
  path: string,
  headers: Readonly<Record<string, string>> = {},
): { target: Target; fields: Fields } {
  const fields = readFields(['Host', 'gate.example', ...Object.entries(headers).flat()], '1.1');
  if ('refused' in fields) throw new Error(fields.refused);
  const target = canonicalTarget(path, fields.host);
  if ('refused' in target) throw new Error(target.refused);
  return { target, fields };
}

/** Services of a gateway that must not ask anybody. */
export const noServices: Services = {
  introspect: () => {
    throw new Error('nobody was to be asked');
  },
  ...noRemote,
  now: () => 1_790_000_000,
};
