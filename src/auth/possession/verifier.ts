import type { PossessionVerifier } from '../../model/possession.js';
import { type CertificateField, certificateOf, thumbprintOf } from './certificate.js';
import { type DpopOptions, DpopVerifier } from './dpop.js';

/** How tokens that are bound to a key are verified. */
export interface PossessionOptions {
  /** Undefined: no DPoP proof is accepted. */
  readonly dpop?: DpopOptions;
  /** The field in which trusted proxies pass their clients' certificates. If undefined, no proxy does. */
  readonly certificateField?: CertificateField;
}

/**
 * Builds the verifier of a process. There must be only one, because a proof that was used under one rule is
 * used for all rules.
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
    certificate: (request) => certificateOf(request, certificateField),
  };
}
