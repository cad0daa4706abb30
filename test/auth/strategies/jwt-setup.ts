import type { Test } from 'tap';
import { ask, type Question } from '../../ask.js';
import { fakeClock } from '../../clock.js';
import { apiRule, startTestGateway } from '../../gateway.js';
import { type Issuer, startIssuer } from '../../jwks.js';

export const NOW = 1_790_000_000;
/** Keys of elliptic curves are made in no time. */
export const EC = { allowed_algorithms: ['ES256'] };

export function rulesOf(config: object): string {
  return apiRule('gate.example', [
    { path: '/.*', methods: ['GET'], accessStrategies: [{ handler: 'jwt', config }] },
  ]);
}

/** A gateway with one `jwt` rule, and an issuer with one key, `k1`. */
export async function start(t: Test, config: (issuer: Issuer) => object, algorithm = 'ES256') {
  const clock = fakeClock(NOW);
  const issuer = await startIssuer(clock.wall);
  const key = await issuer.makeKey('k1', algorithm);
  const gate = await startTestGateway(t, { rules: rulesOf(config(issuer)), clock });
  t.teardown(() => issuer.close());
  const get = (token?: string, more: Question = {}) =>
    ask(gate, '/x', token === undefined ? more : { ...more, token });
  return { clock, issuer, key, gate, get };
}
