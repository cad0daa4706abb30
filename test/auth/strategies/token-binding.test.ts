import t from 'tap';
import { TokenBinding } from '../../../src/auth/strategies/token-binding.js';
import type { PossessionVerifier } from '../../../src/model/possession.js';
import type { RequiredPossession } from '../../../src/model/strategy.js';
import { arrival, noServices } from '../../decision.js';

const defaults = {
  scopeStrategy: 'exact',
  endpoint: { url: 'http://as.example/introspect', headers: {}, auth: { method: 'none' } },
  leeway: 0,
  dpopAlgorithms: ['ES256'],
} as const;

/** A client that has shown the certificate `mine`, and proofs of the key `mine`. */
const possession: PossessionVerifier = {
  thumbprint: () => 'mine',
  certificate: () => undefined,
  dpop: async ({ jkt }) =>
    jkt === 'mine' ? { ok: true } : { ok: false, error: 'invalid_token', reason: 'another key' },
};

t.test('a rule takes tokens of the binding that it demands, each with its own proof', async (t) => {
  const certificate = { 'x5t#S256': 'mine' };
  const key = { jkt: 'mine' };
  for (const [required, cnf, scheme, taken] of [
    [undefined, undefined, undefined, true],
    [undefined, certificate, undefined, true],
    [undefined, certificate, 'DPoP', false],
    [undefined, key, 'DPoP', true],
    [undefined, key, undefined, false],
    [undefined, { ...key, ...certificate }, 'DPoP', true],
    [undefined, { ...key, ...certificate }, undefined, false],
    [undefined, { ...key, 'x5t#S256': 'other' }, 'DPoP', false],
    [undefined, { jkt: 'other', ...certificate }, 'DPoP', false],
    [undefined, { ...key, kid: '1' }, 'DPoP', false],
    ['dpop', undefined, undefined, false],
    ['dpop', certificate, undefined, false],
    ['dpop', key, 'DPoP', true],
    ['dpop', { ...key, ...certificate }, 'DPoP', true],
    ['certificate', undefined, undefined, false],
    ['certificate', certificate, undefined, true],
    ['certificate', key, 'DPoP', false],
    ['certificate', { ...key, ...certificate }, 'DPoP', true],
    ['any', undefined, undefined, false],
    ['any', certificate, undefined, true],
    ['any', key, 'DPoP', true],
  ] as const) {
    const what = JSON.stringify([required, cnf, scheme]);
    const binding = new TokenBinding(required as RequiredPossession | undefined, defaults);
    const { target, fields } = arrival('/x');
    for (const claims of cnf === undefined ? [{}, { ext: null }, { ext: {} }] : [{ cnf }, { ext: { cnf } }]) {
      const credential = { kind: 'token', token: 't', ...(scheme === undefined ? {} : { scheme }) } as const;
      const services = { ...noServices, possession };
      const result = await binding.check(claims, credential, { method: 'GET', target, fields }, services);
      t.equal(result?.denial === undefined, taken, `${what} in ${JSON.stringify(claims)}`);
    }
  }
});
