import { compactDecrypt, decodeProtectedHeader } from 'jose';
import type { DecryptionKey } from '../../model/authorization-server.js';
import { InvalidAnswer } from './errors.js';

/** Accepted content encryption (`enc`, RFC 7518 §5.1). All are authenticated. */
const CONTENT = ['A128GCM', 'A192GCM', 'A256GCM', 'A128CBC-HS256', 'A192CBC-HS384', 'A256CBC-HS512'];

/**
 * Decrypts an answer that is encrypted for scopegate (RFC 9701 §5, RFC 7516 §5.2), in the compact
 * serialisation.
 *
 * @param keys all current keys; there are several during a rotation
 * @returns the signed answer, not verified yet
 * @throws InvalidAnswer if it is not encrypted, or not for one of the keys; the message contains nothing of the
 *   answer
 */
export async function decryptAnswer(text: string, keys: readonly DecryptionKey[]): Promise<string> {
  const jwe = text.trim();
  if (jwe.split('.').length !== 5) throw new InvalidAnswer('the introspection answer is not encrypted');
  for (const { key, algorithms } of meant(jwe, keys)) {
    try {
      const { plaintext } = await compactDecrypt(jwe, key, {
        keyManagementAlgorithms: [...algorithms],
        contentEncryptionAlgorithms: CONTENT,
        // Compression would need a limit on the decompressed size. It is not needed here.
        maxDecompressedLength: 0,
      });
      return Buffer.from(plaintext).toString('latin1');
    } catch {
      // Not encrypted for this key, or damaged. Try the next key.
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
