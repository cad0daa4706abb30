import { compactDecrypt, decodeProtectedHeader } from 'jose';
import type { DecryptionKey } from '../../model/authorization-server.js';
import { InvalidAnswer } from './errors.js';

/** Content encryption (`enc`, RFC 7518 §5.1): each is authenticated. */
const CONTENT = ['A128GCM', 'A192GCM', 'A256GCM', 'A128CBC-HS256', 'A192CBC-HS384', 'A256CBC-HS512'];

/**
 * Decrypts an answer that was encrypted for the gateway (RFC 9701 §5, RFC 7516 §5.2), in the compact serialisation.
 *
 * @param keys those that may be meant, all of them while they are rotated
 * @returns what is inside: the signed answer, not verified yet
 * @throws InvalidAnswer when it is not encrypted, or for another key; the message holds nothing of the answer
 */
export async function decryptAnswer(text: string, keys: readonly DecryptionKey[]): Promise<string> {
  const jwe = text.trim();
  if (jwe.split('.').length !== 5) throw new InvalidAnswer('the introspection answer is not encrypted');
  for (const { key, algorithms } of meant(jwe, keys)) {
    try {
      const { plaintext } = await compactDecrypt(jwe, key, {
        keyManagementAlgorithms: [...algorithms],
        contentEncryptionAlgorithms: CONTENT,
        // What it expands to would need a bound; there is no need for it.
        maxDecompressedLength: 0,
      });
      return Buffer.from(plaintext).toString('latin1');
    } catch {
      // Another key's, or nobody's; which one it is says nothing to anybody.
    }
  }
  throw new InvalidAnswer('the introspection answer cannot be decrypted with the keys of the gateway');
}

function meant(jwe: string, keys: readonly DecryptionKey[]): readonly DecryptionKey[] {
  try {
    const { alg = '', kid } = decodeProtectedHeader(jwe);
    return keys.filter(
      ({ algorithms, keyId }) =>
        algorithms.includes(alg) && (keyId === undefined || kid === undefined || keyId === kid),
    );
  } catch {
    return [];
  }
}
