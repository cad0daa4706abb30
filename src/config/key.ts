import { createPrivateKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import type { AssertionKey, DecryptionKey } from '../model/authorization-server.js';
import { MIN_RSA_BITS, RSA_SIGNATURES } from '../model/signature-algorithms.js';
import { readTextFile } from '../model/text-file.js';

/** The JWS algorithm that a key on a curve signs with. */
const CURVES: Readonly<Record<string, string>> = {
  prime256v1: 'ES256',
  secp384r1: 'ES384',
  secp521r1: 'ES512',
};

/**
 * Reads a private key from a PEM file (PKCS #8, PKCS #1 or SEC 1, not encrypted) or a JWK file (RFC 7517).
 *
 * @param chosen algorithm and key identifier from the settings; they take precedence over those of a JWK
 * @throws Error if the file holds no key that can sign with that algorithm; the message quotes nothing from
 *   the file
 */
export function readAssertionKey(
  file: string,
  chosen: { readonly algorithm?: string; readonly keyId?: string } = {},
): AssertionKey {
  const text = readTextFile(file);
  const jwk = isJson(text) ? readJwk(readJson(text)) : undefined;
  const key = privateKey(jwk ?? text);
  const able = algorithmsOf(key);
  const algorithm = chosen.algorithm ?? jwk?.alg ?? able[0];
  if (algorithm === undefined || !able.includes(algorithm)) {
    const can = able.length === 0 ? 'no algorithm that scopegate supports' : able.join(', ');
    throw new Error(`the key can sign with ${can}, not with ${algorithm ?? 'any other one'}`);
  }
  const keyId = chosen.keyId ?? jwk?.kid;
  return { key, algorithm, ...(keyId === undefined ? {} : { keyId }) };
}

/**
 * Reads the private keys for decryption. The file is a PEM file with one key, a JWK, or a JWK Set (RFC 7517
 * §5), which is needed while keys are rotated. Keys of a set that are for signatures (`use`) are ignored.
 *
 * @throws Error if there is no key, or if a key cannot decrypt; the message quotes nothing from the file
 */
export function readDecryptionKeys(file: string): readonly DecryptionKey[] {
  const text = readTextFile(file);
  if (!isJson(text)) return [decryptionKey(text)];
  const document = readJson(text);
  const { keys } = document as { readonly keys?: unknown };
  if (!Array.isArray(keys)) return [decryptionKey(readJwk(document))];
  const meant = keys.filter((each: { use?: unknown } | null) => each?.use !== 'sig');
  if (meant.length === 0) throw new Error('the JWK Set has no key for decryption');
  return meant.map((each) => decryptionKey(readJwk(each)));
}

function decryptionKey(source: string | Jwk): DecryptionKey {
  const key = privateKey(source);
  const { alg, kid } = typeof source === 'string' ? {} : source;
  const able = decryptionAlgorithmsOf(key);
  if (able.length === 0 || (alg !== undefined && !able.includes(alg))) {
    const can = able.length === 0 ? 'no algorithm that scopegate supports' : able.join(', ');
    throw new Error(`the key can decrypt with ${can}${alg === undefined ? '' : `, not with ${alg}`}`);
  }
  return {
    key,
    algorithms: alg === undefined ? able : [alg],
    ...(kid === undefined ? {} : { keyId: kid }),
  };
}

/**
 * The decryption algorithms of a key (RFC 7518 §4.1, RFC 8037 §3.2). RSA1_5 is not included, because it
 * allows Bleichenbacher's attack on the key.
 */
function decryptionAlgorithmsOf(key: KeyObject): readonly string[] {
  const { modulusLength = 0, namedCurve = '' } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'rsa':
      if (modulusLength < MIN_RSA_BITS) throw new Error(`an RSA key must have ${MIN_RSA_BITS} bits or more`);
      return ['RSA-OAEP', 'RSA-OAEP-256', 'RSA-OAEP-384', 'RSA-OAEP-512'];
    case 'ec':
      return Object.hasOwn(CURVES, namedCurve) ? AGREEMENT : [];
    case 'x25519':
      return AGREEMENT;
    default:
      return [];
  }
}

const AGREEMENT = ['ECDH-ES', 'ECDH-ES+A128KW', 'ECDH-ES+A192KW', 'ECDH-ES+A256KW'];

type Jwk = JsonWebKey & { readonly alg?: string; readonly kid?: string };

/** @param source PEM or JWK */
function privateKey(source: string | Jwk): KeyObject {
  try {
    return createPrivateKey(typeof source === 'string' ? source : { key: source, format: 'jwk' });
  } catch {
    // The library's message may quote the content that it could not read.
    throw new Error('the file does not contain a private key in PEM or JWK form');
  }
}

function isJson(text: string): boolean {
  return text.trimStart().startsWith('{');
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error('the file is neither PEM nor JSON');
  }
}

function readJwk(jwk: unknown): Jwk {
  const { alg, kid } = (jwk ?? {}) as Readonly<Record<string, unknown>>;
  for (const value of [alg, kid]) {
    if (value !== undefined && typeof value !== 'string')
      throw new Error('the JWK has an "alg" or "kid" that is not a string');
  }
  return jwk as Jwk;
}

function algorithmsOf(key: KeyObject): readonly string[] {
  const { modulusLength = 0, namedCurve = '' } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'rsa':
      if (modulusLength < MIN_RSA_BITS) throw new Error(`an RSA key must have ${MIN_RSA_BITS} bits or more`);
      return RSA_SIGNATURES;
    case 'ec':
      return [CURVES[namedCurve] ?? []].flat();
    case 'ed25519':
      return ['EdDSA', 'Ed25519'];
    default:
      return [];
  }
}

/**
 * Reads a key for AES-256: 32 bytes, in base64 or in hexadecimal digits.
 *
 * @throws Error if the file holds no such key; the message quotes nothing from the file
 */
export function readCipherKey(file: string): Buffer {
  const text = readTextFile(file).trim();
  const key = /^[0-9a-f]{64}$/i.test(text) ? Buffer.from(text, 'hex') : Buffer.from(text, 'base64');
  if (key.length !== 32 || !/^[A-Za-z0-9+/_=-]+$/.test(text)) {
    throw new Error('the file does not contain 32 bytes in base64 or hexadecimal digits');
  }
  return key;
}
