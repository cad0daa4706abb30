import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';

/** Reads a key for AES-256; see {@link Seal}. */
export type ReadKey = () => Buffer;

const CIPHER = 'aes-256-gcm';
const KEY = 32;
/** Bytes of the nonce (NIST SP 800-38D §8.2.2) and of the tag. */
const NONCE = 12;
const TAG = 16;

/**
 * Encrypts what leaves the process, and takes back only what somebody with the same key has encrypted for the same
 * place. Of two keys the first one encrypts and both decrypt, so that keys can be replaced one gateway at a time.
 */
export class Seal {
  readonly #keys: readonly [ReadKey, ...ReadKey[]];

  /** @param keys 32 bytes each; read at each use */
  constructor(keys: readonly [ReadKey, ...ReadKey[]]) {
    this.#keys = keys;
  }

  /**
   * @param place what the text belongs to: it opens for no other
   * @param secret who does not know it cannot open it, even with the key
   * @returns base64: nonce, ciphertext, tag
   */
  close(text: string, place: string, secret?: string): string {
    const nonce = randomBytes(NONCE);
    const cipher = createCipheriv(CIPHER, keyFor(this.#keys[0](), place, secret), nonce).setAAD(
      Buffer.from(place),
    );
    return Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]).toString(
      'base64',
    );
  }

  /** @returns undefined where no key opens it */
  open(sealed: string, place: string, secret?: string): string | undefined {
    const bytes = Buffer.from(sealed, 'base64');
    if (bytes.length < NONCE + TAG) return undefined;
    for (const key of this.#keys) {
      const decipher = createDecipheriv(CIPHER, keyFor(key(), place, secret), bytes.subarray(0, NONCE), {
        authTagLength: TAG,
      })
        .setAAD(Buffer.from(place))
        .setAuthTag(bytes.subarray(-TAG));
      try {
        return Buffer.concat([decipher.update(bytes.subarray(NONCE, -TAG)), decipher.final()]).toString(
          'utf8',
        );
      } catch {
        // Another key's, or nobody's.
      }
    }
    return undefined;
  }
}

/** The key itself, or one that takes both it and the secret to derive (HKDF-SHA-256, RFC 5869). */
function keyFor(key: Buffer, place: string, secret: string | undefined): Buffer {
  return secret === undefined ? key : Buffer.from(hkdfSync('sha256', secret, key, place, KEY));
}
