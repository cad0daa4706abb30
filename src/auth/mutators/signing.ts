import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  hash,
  type JsonWebKey,
  type KeyObject,
} from 'node:crypto';
import { fileProblem, pathOfUrl } from '../../model/file-error.js';
import type { PublicKey } from '../../model/mutator.js';
import { MIN_RSA_BITS } from '../../model/signature-algorithms.js';
import { readTextFile } from '../../model/text-file.js';

/** The private key that signs tokens, and all public keys that verify them. */
export interface SigningKey {
  readonly key: KeyObject;
  readonly kid: string;
  /** JWS algorithm (RFC 7518 §3.1). */
  readonly algorithm: string;
  readonly published: readonly PublicKey[];
}

/** A key file that cannot be used. The message contains nothing of its content. */
export class KeyError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'KeyError';
  }
}

const CURVES: Readonly<Record<string, string>> = {
  'P-256': 'ES256',
  'P-384': 'ES384',
  'P-521': 'ES512',
  Ed25519: 'EdDSA',
};
const ALGORITHMS: Readonly<Record<string, RegExp>> = { RSA: /^[RP]S(256|384|512)$/, EC: /^ES/, OKP: /^Ed/ };

/**
 * Reads a JWK Set with private keys. The first one signs, all are published, so that a key can be replaced
 * while tokens that the old one signed are still in use.
 *
 * @param url a file URL
 * @throws KeyError if the file has no private key that can sign
 */
export function readSigningKey(url: string): SigningKey {
  let set: unknown;
  try {
    set = JSON.parse(readTextFile(pathOfUrl(url)));
  } catch (error) {
    const isJson = !(error instanceof SyntaxError);
    throw new KeyError(isJson ? `the key file ${fileProblem(error)}` : 'the key file is not JSON');
  }
  const list = (set as { keys?: unknown } | null)?.keys;
  if (!Array.isArray(list))
    throw new KeyError('the key file must be a JWK Set: an object with the list "keys"');
  const keys = list.filter(isSigner).map(readKey);
  const [first] = keys;
  if (first === undefined) throw new KeyError('the key file has no private RSA, EC or OKP key');
  return { ...first, published: keys.map(({ published }) => published) };
}

let temporary: SigningKey | undefined;

/**
 * Returns the key of this process, for rules that name none. It is made at the first call and is the same from then
 * on, so that a reload of the rules does not change it. It signs with ES256: an RSA key would take too long to make
 * while requests wait.
 */
export function temporarySigningKey(): SigningKey {
  if (temporary === undefined) {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const { published, ...key } = readKey(privateKey.export({ format: 'jwk' }));
    temporary = { ...key, published: [published] };
  }
  return temporary;
}

function isSigner(jwk: unknown): jwk is JsonWebKey & { kid?: string; alg?: string } {
  if (typeof jwk !== 'object' || jwk === null) return false;
  const { kty, d, use = 'sig' } = jwk as Readonly<Record<string, unknown>>;
  return typeof kty === 'string' && kty in ALGORITHMS && typeof d === 'string' && use === 'sig';
}

function readKey(jwk: JsonWebKey & { kid?: string; alg?: string }) {
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: jwk, format: 'jwk' });
  } catch {
    throw new KeyError('a key in the key file is malformed');
  }
  const algorithm = jwk.alg ?? (jwk.kty === 'RSA' ? 'RS256' : CURVES[String(jwk.crv)]);
  if (algorithm === undefined || ALGORITHMS[String(jwk.kty)]?.test(algorithm) !== true) {
    throw new KeyError('a key in the key file has an "alg" that does not fit its type');
  }
  if ((key.asymmetricKeyDetails?.modulusLength ?? MIN_RSA_BITS) < MIN_RSA_BITS) {
    throw new KeyError(`an RSA key in the key file is too short: it must have at least ${MIN_RSA_BITS} bits`);
  }
  const open = createPublicKey(key).export({ format: 'jwk' });
  const kid = jwk.kid ?? jwkThumbprint(open);
  return { key, kid, algorithm, published: { ...open, kid, alg: algorithm, use: 'sig' } };
}

/**
 * The JWK thumbprint with SHA-256 (RFC 7638 §3): over the required members in the order of their names. It is
 * not jose's function, because that is asynchronous and rules are compiled synchronously; a test checks that
 * both agree.
 *
 * @returns base64url
 */
export function jwkThumbprint({ crv, e, kty, n, x, y }: JsonWebKey): string {
  return hash('sha256', JSON.stringify({ crv, e, kty, n, x, y }), 'base64url');
}
