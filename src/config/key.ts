import { createPrivateKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { AssertionKey } from '../introspection/assertion.js';

/** The JWS algorithms a private key can sign with, the first one where nobody chooses. */
const RSA = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'];
const CURVES: Readonly<Record<string, string>> = {
  prime256v1: 'ES256',
  secp384r1: 'ES384',
  secp521r1: 'ES512',
};
/** The fewest bits of an RSA key that may sign (RFC 7518 §3.3). */
const RSA_BITS = 2048;

/**
 * Reads a private key from a PEM file (PKCS #8, PKCS #1 or SEC 1, not encrypted) or a JWK file (RFC 7517).
 *
 * @param chosen algorithm and key identifier of the settings, which go before those of a JWK
 * @throws Error when it holds no key that can sign so; the message holds nothing of the file
 */
export function readAssertionKey(
  file: string,
  chosen: { readonly algorithm?: string; readonly keyId?: string } = {},
): AssertionKey {
  const text = readFileSync(file, 'utf8');
  const jwk = text.trimStart().startsWith('{') ? readJwk(text) : undefined;
  let key: KeyObject;
  try {
    key = jwk === undefined ? createPrivateKey(text) : createPrivateKey({ key: jwk, format: 'jwk' });
  } catch {
    // The library's message may quote what it could not read.
    throw new Error('the file holds no private key in PEM or JWK form');
  }
  const able = algorithmsOf(key);
  const algorithm = chosen.algorithm ?? jwk?.alg ?? able[0];
  if (algorithm === undefined || !able.includes(algorithm)) {
    const can = able.length === 0 ? 'no algorithm known here' : able.join(', ');
    throw new Error(`the key signs with ${can}, not with ${algorithm ?? 'any other one'}`);
  }
  const keyId = chosen.keyId ?? jwk?.kid;
  return { key, algorithm, ...(keyId === undefined ? {} : { keyId }) };
}

function readJwk(text: string): JsonWebKey & { readonly alg?: string; readonly kid?: string } {
  let jwk: unknown;
  try {
    jwk = JSON.parse(text);
  } catch {
    throw new Error('the file is neither PEM nor JSON');
  }
  const { alg, kid } = jwk as Readonly<Record<string, unknown>>;
  for (const value of [alg, kid]) {
    if (value !== undefined && typeof value !== 'string')
      throw new Error('the JWK has an "alg" or "kid" that is no text');
  }
  return jwk as JsonWebKey;
}

function algorithmsOf(key: KeyObject): readonly string[] {
  const { modulusLength = 0, namedCurve = '' } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'rsa':
      if (modulusLength < RSA_BITS) throw new Error(`an RSA key must have ${RSA_BITS} bits or more`);
      return RSA;
    case 'ec':
      return [CURVES[namedCurve] ?? []].flat();
    case 'ed25519':
      return ['EdDSA', 'Ed25519'];
    default:
      return [];
  }
}

/**
 * Reads a key for AES-256: 32 bytes in base64 or hexadecimal digits.
 *
 * @throws Error when it is none; the message holds nothing of the file
 */
export function readCipherKey(file: string): Buffer {
  const text = readFileSync(file, 'utf8').trim();
  const key = /^[0-9a-f]{64}$/i.test(text) ? Buffer.from(text, 'hex') : Buffer.from(text, 'base64');
  if (key.length !== 32 || !/^[A-Za-z0-9+/_=-]+$/.test(text)) {
    throw new Error('the file holds no 32 bytes in base64 or hexadecimal digits');
  }
  return key;
}
