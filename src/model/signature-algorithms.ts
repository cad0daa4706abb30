/** Signature algorithms of RSA keys (RFC 7518 §3.3, §3.5), the usual one first. */
export const RSA_SIGNATURES: readonly string[] = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'];

/**
 * Signature algorithms with a private key (RFC 7518 §3.1, RFC 8037 §3.1, RFC 9864): all that a public key set
 * can verify.
 */
export const PUBLIC_KEY_SIGNATURES: readonly string[] = [
  ...RSA_SIGNATURES,
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
];

/** The smallest size in bits of an RSA key for signatures (RFC 7518 §3.3). */
export const MIN_RSA_BITS = 2048;
