import { generateKeyPairSync } from 'node:crypto';
import { calculateJwkThumbprint, type JWK } from 'jose';
import t from 'tap';
import { jwkThumbprint } from '../../../src/auth/mutators/signing.js';

t.test('a key without kid is published under its RFC 7638 thumbprint', async (t) => {
  const pairs = {
    RSA: generateKeyPairSync('rsa', { modulusLength: 2048 }),
    'P-256': generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    'P-384': generateKeyPairSync('ec', { namedCurve: 'P-384' }),
    'P-521': generateKeyPairSync('ec', { namedCurve: 'P-521' }),
    Ed25519: generateKeyPairSync('ed25519'),
  };
  for (const [name, { publicKey }] of Object.entries(pairs)) {
    const jwk = publicKey.export({ format: 'jwk' });
    t.equal(jwkThumbprint(jwk), await calculateJwkThumbprint(jwk as JWK, 'sha256'), name);
  }
});
