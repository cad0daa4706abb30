import type { Test } from 'tap';
import { decide } from '../../src/auth/decide.js';
import type { HandlerDefaults } from '../../src/auth/strategies/strategy.js';
import type { Endpoint } from '../../src/model/authorization-server.js';
import type { Decision } from '../../src/model/decision.js';
import type { AccessStrategy, Outcome, Services } from '../../src/model/strategy.js';
import { arrival, noServices, ruleOf, tableOf } from '../decision.js';

export const defaults: HandlerDefaults = {
  scopeStrategy: 'exact',
  endpoint: { url: 'http://as.example/introspect', headers: {}, auth: { method: 'none' } },
  leeway: 0,
};

/** A strategy of the test's own, with a log of who was asked. */
export function strategy(
  name: string,
  outcome: Outcome | Promise<Outcome>,
  asked: string[] = [],
): AccessStrategy {
  return {
    handler: name,
    requiredScopes: [`${name}-scope`],
    authenticate() {
      asked.push(name);
      return outcome;
    },
  };
}
export const allowed = (subject: string): Outcome => ({ kind: 'allow', subject: { subject } });
export const denied = (reason: string): Outcome => ({
  kind: 'deny',
  denial: { error: 'invalid_token', reason },
});

export function decideBy(
  strategies: readonly AccessStrategy[],
  headers: Readonly<Record<string, string>> = {},
  services: Services = noServices,
): Decision | Promise<Decision> {
  const { target, fields } = arrival('/x', headers);
  return decide({ table: tableOf([ruleOf('/x', strategies)]), method: 'GET', target, fields, services });
}

/** Services whose authorization server knows these tokens and whether they are active. */
export function answering(_t: Test, tokens: Readonly<Record<string, boolean>>, slow = true): Services {
  const introspect = (_endpoint: Endpoint, token: string) => {
    const answer = tokens[token]
      ? ({ active: true, claims: {}, scopes: [], audience: [], subject: token } as const)
      : ({ active: false } as const);
    const trace = { from: slow ? 'miss' : 'hit', ms: 0 } as const;
    const result = { ok: true, answer, trace } as const;
    return slow ? Promise.resolve(result) : result;
  };
  return { ...noServices, introspect };
}
