import { type CertificateField, thumbprintOf } from './certificate.js';
import { type DpopOptions, type DpopProofRequest, type DpopProofResult, DpopVerifier } from './dpop.js';
import type { AddressedRequest } from './request-uri.js';

/** How tokens that are bound to a key are verified. */
export interface PossessionOptions {
  /** Undefined: no DPoP proof is taken. */
  readonly dpop?: DpopOptions;
  /** The field in which trusted proxies pass their clients' certificates; undefined: none does. */
  readonly certificateField?: CertificateField;
}

/** Verifies that who shows a token possesses its key. */
export interface PossessionVerifier {
  /** Verifies a DPoP proof (RFC 9449); undefined where none is taken. */
  readonly dpop?: (request: DpopProofRequest) => Promise<DpopProofResult>;
  /** The `x5t#S256` thumbprint of the client's certificate (RFC 8705 §3.1), if it has shown one. */
  readonly thumbprint: (request: AddressedRequest) => string | undefined;
}

/**
 * Builds the one verifier of a process: what it has seen must be seen by all rules.
 *
 * @param now seconds since 1970
 */
export function createPossessionVerifier(
  { dpop, certificateField }: PossessionOptions,
  now: () => number,
): PossessionVerifier {
  const verifier = dpop === undefined ? undefined : new DpopVerifier(dpop, now);
  return {
    ...(verifier === undefined ? {} : { dpop: (request) => verifier.verify(request) }),
    thumbprint: (request) => thumbprintOf(request, certificateField),
  };
}
