import type { Fields } from '../parse/fields.js';
import type { Peer } from '../parse/peer.js';
import type { Target } from '../parse/target.js';

/** A request as its client addressed it, as far as this has to be known. */
export interface AddressedRequest {
  readonly target: Target;
  readonly fields: Fields;
  /** Who sent it. */
  readonly peer?: Peer | undefined;
  /** The scheme of a request that a proxy describes; its host is then the one in `fields`. */
  readonly scheme?: string | undefined;
}

/** A request with `Authorization: DPoP`, and what its token says of its key. */
export interface DpopProofRequest extends AddressedRequest {
  readonly method: string;
  readonly token: string;
  /** `cnf.jkt` of the token: the SHA-256 thumbprint of its key (RFC 9449 §6). */
  readonly jkt: string;
}

/** What came of a proof. The reasons are safe to show. */
export type DpopProofResult =
  | {
      readonly ok: true;
      /** The nonce for the client's next proofs, where it is not the one it used. */
      readonly nonce?: string;
    }
  | {
      readonly ok: false;
      readonly error: 'invalid_dpop_proof' | 'invalid_token' | 'use_dpop_nonce' | 'overloaded';
      readonly reason: string;
      readonly nonce?: string;
    };

/** Verifies that who shows a token possesses its key. */
export interface PossessionVerifier {
  /** Verifies a DPoP proof (RFC 9449); undefined where none is taken. */
  readonly dpop?: (request: DpopProofRequest) => Promise<DpopProofResult>;
  /** The `x5t#S256` thumbprint of the client's certificate (RFC 8705 §3.1), if it has shown one. */
  readonly thumbprint: (request: AddressedRequest) => string | undefined;
}
