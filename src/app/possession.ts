import { randomBytes } from 'node:crypto';
import type { SharedCache } from '../auth/introspection/shared-cache.js';
import type { PossessionOptions } from '../auth/possession/verifier.js';
import type { Secret } from '../config/secret.js';
import type { ProofSettings } from '../config/settings.js';

/**
 * Converts the settings for proof of possession to the verifier's options, whose times are in seconds.
 *
 * @param shared lets gateways share which proofs were used, so that each proof is accepted once
 * @param onUnshared called if the shared store could not say whether another gateway had accepted a proof
 */
export function possessionOptions(
  { dpop, certificateField: field }: ProofSettings,
  shared: SharedCache | undefined,
  onUnshared: () => void,
): PossessionOptions {
  const certificate = field === 'none' ? {} : { certificateField: field };
  if (!dpop.enabled) return certificate;
  const { algorithms, maxAge, leeway, maxProofs, maxProofsPerKey, replays, nonce } = dpop;
  const others =
    shared === undefined || replays === 'own'
      ? {}
      : {
          others: {
            claim: (digest: string, life: number) => shared.claim(digest, life),
            required: replays === 'required',
            onUnknown: onUnshared,
          },
        };
  const nonces = nonce.required
    ? { nonce: { secret: nonceSecret(nonce.secret), lifetime: nonce.lifetime / 1000 } }
    : {};
  return {
    ...certificate,
    dpop: {
      algorithms,
      maxAge: maxAge / 1000,
      leeway: leeway / 1000,
      maxProofs,
      maxPerKey: maxProofsPerKey,
      ...others,
      ...nonces,
    },
  };
}

/** The nonce secret; a random one for this process if the settings have none. */
function nonceSecret(shared: Secret | undefined): () => string {
  if (shared !== undefined) return () => shared.reveal();
  const own = randomBytes(32).toString('base64url');
  return () => own;
}
