import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';

/** Reads a key for AES-256 (32 bytes); see {@link Seal}. */
export type ReadKey = () => Buffer;

const CIPHER = 'aes-256-gcm';
const KEY = 32;
/** The bytes of the nonce (NIST SP 800-38D §8.2.2) and of the tag. */
const NONCE = 12;
const TAG = 16;

/**
 * Encrypts data that leaves the process. It decrypts only what a gateway with the same key has encrypted for
 * the same place. The first key encrypts what is stored, each key encrypts what other gateways must be able to
 * read, and all keys decrypt, so that a key can be replaced at one gateway after the other.
 */
export class Seal {
  readonly #keys: readonly [ReadKey, ...ReadKey[]];

  /** @param keys functions that read a key of 32 bytes; they are called at each use */
  constructor(keys: readonly [ReadKey, ...ReadKey[]]) {
    this.#keys = keys;
  }

  /**
   * Encrypts a text.
   *
   * @param place the name that the text belongs to; it cannot be decrypted for another one
   * @param secret also needed to decrypt, in addition to the key
   * @returns base64 of nonce, ciphertext and tag
   */
  close(text: string, place: string, secret?: string): string {
    return encrypt(text, place, keyFor(this.#keys[0](), place, secret));
  }

  /**
   * Encrypts a text once with each key, for gateways that have only one of them.
   *
   * @param place as for {@link close}
   * @returns one text for each key, of which the first is as of {@link close}; keys that are equal count once
   */
  closeWithEach(text: string, place: string): string[] {
    const keys = new Map(this.#keys.map((read) => read()).map((key) => [key.toString('base64'), key]));
    return [...keys.values()].map((key) => encrypt(text, place, key));
  }

  /**
   * Decrypts a text.
   *
   * @param sealed what {@link close} returned
   * @param place as given to {@link close}
   * @param secret as given to {@link close}
   * @returns undefined if no key decrypts it
   */
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
        // Encrypted with another key, or forged. Try the next key.
      }
    }
    return undefined;
  }
}

function encrypt(text: string, place: string, key: Buffer): string {
  const nonce = randomBytes(NONCE);
  const cipher = createCipheriv(CIPHER, key, nonce).setAAD(Buffer.from(place));
  return Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]).toString(
    'base64',
  );
}

/** The key itself, or one that is derived from the key and the secret (HKDF-SHA-256, RFC 5869). */
function keyFor(key: Buffer, place: string, secret: string | undefined): Buffer {
  return secret === undefined ? key : Buffer.from(hkdfSync('sha256', secret, key, place, KEY));
}
