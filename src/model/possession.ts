import type { X509Certificate } from 'node:crypto';
import type { Fields } from '../parse/fields.js';
import type { Peer } from '../parse/peer.js';
import type { Target } from '../parse/target.js';

/** The parts of a request that proof of possession depends on. */
export interface AddressedRequest {
  readonly target: Target;
  readonly fields: Fields;
  /** The other end of the connection. */
  readonly peer?: Peer | undefined;
  /** The scheme of a request that a proxy describes (forward-auth). Its host is then the one in `fields`. */
  readonly scheme?: string | undefined;
}

/** A request with `Authorization: DPoP`, and the key that its token is bound to. */
export interface DpopProofRequest extends AddressedRequest {
  readonly method: string;
  readonly token: string;
  /** `cnf.jkt` of the token: the SHA-256 thumbprint of its key (RFC 9449 §6). */
  readonly jkt: string;
}

/** The result of checking a DPoP proof. The client may see the reason. */
export type DpopProofResult =
  | {
      readonly ok: true;
      /** The nonce for the client's next proofs, if it is not the one that the client used. */
      readonly nonce?: string;
    }
  | {
      readonly ok: false;
      readonly error: 'invalid_dpop_proof' | 'invalid_token' | 'use_dpop_nonce' | 'overloaded';
      readonly reason: string;
      readonly nonce?: string;
    };

/** Verifies that the client that sends a token possesses the key that the token is bound to. */
export interface PossessionVerifier {
  /** Verifies a DPoP proof (RFC 9449). Undefined if DPoP is off. */
  readonly dpop?: (request: DpopProofRequest) => Promise<DpopProofResult>;
  /**
   * The `x5t#S256` thumbprint of the client's certificate (RFC 8705 §3.1). Undefined if the client sent none.
   */
  readonly thumbprint: (request: AddressedRequest) => string | undefined;
  /** The client's certificate, if an authority has signed it. Its names are what mutators may send. */
  readonly certificate: (request: AddressedRequest) => X509Certificate | undefined;
}
