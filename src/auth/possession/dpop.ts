import { hash } from 'node:crypto';
import {
  calculateJwkThumbprint,
  decodeJwt,
  decodeProtectedHeader,
  EmbeddedJWK,
  type JWTPayload,
  jwtVerify,
} from 'jose';
import type { DpopProofRequest, DpopProofResult } from '../../model/possession.js';
import { hasRawPayload } from '../../outbound/jwt.js';
import { singleField } from '../../parse/fields.js';
import { Nonces } from './nonce.js';
import { proofDigest, ReplayCache, type ReplayLimits } from './replay.js';
import { canonicalUriOf, requestUriOf } from './request-uri.js';

/** The proofs that other gateways have accepted (RFC 9449 §11.1). `claim` never rejects and returns soon. */
export interface OtherGateways {
  /**
   * Marks a proof as used for all gateways.
   *
   * @param digest identifies the proof
   * @param life how long it stays marked, in milliseconds
   * @returns whether the proof was unused until now; undefined if that cannot be found out now
   */
  readonly claim: (digest: string, life: number) => Promise<boolean | undefined>;
  /** Whether to refuse a proof if it cannot be found out whether it was used. */
  readonly required: boolean;
  /** Called for each proof for which that cannot be found out. */
  readonly onUnknown: () => void;
}

/** How proofs are verified; times in seconds. */
export interface DpopOptions extends Omit<ReplayLimits, 'lifetime'> {
  /** Signature algorithms with a private key (RFC 7518 §3.1). */
  readonly algorithms: readonly string[];
  /** How old a proof may be. */
  readonly maxAge: number;
  /** How far the client's clock may be ahead. */
  readonly leeway: number;
  /** Undefined if this gateway only knows the proofs that it accepted itself. */
  readonly others?: OtherGateways;
  /** Undefined if proofs need no nonce. */
  readonly nonce?: { readonly secret: () => string; readonly lifetime: number };
}

/**
 * The algorithms that proofs may use: signatures with a private key, with the key sizes in use (RFC 7518
 * §3.1, RFC 8037, RFC 9864).
 */
export const PROOF_ALGORITHMS: readonly string[] = [
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
  ...['PS256', 'PS384', 'PS512', 'RS256', 'RS384', 'RS512'],
];

const COMPACT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;
/** Members that only the JWK of a private or symmetric key has (RFC 7518 §6). */
const PRIVATE = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'] as const;

/** Verifies DPoP proofs (RFC 9449 §4.3) and refuses a proof that was used before. */
export class DpopVerifier {
  readonly #options: DpopOptions;
  readonly #now: () => number;
  readonly #replays: ReplayCache;
  readonly #nonces: Nonces | undefined;

  /** @param now seconds since 1970 */
  constructor(options: DpopOptions, now: () => number) {
    this.#options = options;
    this.#now = now;
    this.#replays = new ReplayCache({ ...options, lifetime: options.maxAge + options.leeway }, now);
    const { nonce } = options;
    this.#nonces = nonce === undefined ? undefined : new Nonces(nonce.secret, nonce.lifetime, now);
  }

  /**
   * Verifies the proof of one request. The cheap checks come first, then the signature, and last whether the
   * proof was used before.
   */
  async verify(request: DpopProofRequest): Promise<DpopProofResult> {
    const proof = singleField(request.fields, 'dpop');
    if (proof === null) return this.#invalid('the request has more than one DPoP field');
    if (proof === undefined) return this.#invalid('the request has no DPoP field');
    if (!COMPACT.test(proof)) return this.#invalid('the DPoP proof is not a JSON Web Token');
    let header: ReturnType<typeof decodeProtectedHeader>;
    let claims: JWTPayload;
    try {
      header = decodeProtectedHeader(proof);
      claims = decodeJwt(proof);
    } catch {
      return this.#invalid('the DPoP proof is not a JSON Web Token');
    }
    const problem = this.#headerProblem(header) ?? this.#claimsProblem(claims, request);
    if (problem !== undefined) return this.#invalid(problem);
    if (this.#nonces?.accepts(claims.nonce) === false) {
      const reason = 'the DPoP proof must hold the nonce of this answer';
      return { ok: false, error: 'use_dpop_nonce', reason, nonce: this.#nonces.current };
    }
    try {
      const thumbprint = await calculateJwkThumbprint(header.jwk as object);
      if (thumbprint !== request.jkt) {
        return {
          ok: false,
          error: 'invalid_token',
          reason: 'the token is bound to another key than the proof’s',
        };
      }
      await jwtVerify(proof, EmbeddedJWK, {
        typ: 'dpop+jwt',
        algorithms: [...this.#options.algorithms],
        clockTolerance: this.#options.leeway,
        currentDate: new Date(this.#now() * 1000),
      });
    } catch {
      return this.#invalid('the DPoP proof cannot be verified with its key');
    }
    return this.#unused(request.jkt, claims);
  }

  #headerProblem(header: ReturnType<typeof decodeProtectedHeader>): string | undefined {
    const { typ, alg, jwk } = header;
    if (hasRawPayload(header)) return 'the DPoP proof is not a JSON Web Token';
    if (typeof typ !== 'string' || typ.toLowerCase() !== 'dpop+jwt')
      return 'the DPoP proof does not have the type dpop+jwt';
    if (!this.#options.algorithms.includes(alg ?? ''))
      return 'the algorithm of the DPoP proof is not allowed';
    if (typeof jwk !== 'object' || jwk === null) return 'the DPoP proof names no key';
    if (PRIVATE.some((member) => Object.hasOwn(jwk, member))) return 'the DPoP proof holds a private key';
    return undefined;
  }

  #claimsProblem({ jti, htm, htu, iat, ath }: JWTPayload, request: DpopProofRequest): string | undefined {
    if (typeof jti !== 'string' || jti === '') return 'the DPoP proof has no jti';
    if (typeof iat !== 'number' || !Number.isFinite(iat)) return 'the DPoP proof has no iat';
    if (typeof htm !== 'string') return 'the DPoP proof has no htm';
    if (typeof htu !== 'string') return 'the DPoP proof has no htu';
    if (htm !== request.method) return 'the DPoP proof is for another method';
    const place = requestUriOf(request);
    if (place === undefined || place !== canonicalUriOf(htu)) return 'the DPoP proof is for another URI';
    const age = this.#now() - iat;
    if (age > this.#options.maxAge) return 'the DPoP proof is too old';
    if (age < -this.#options.leeway) return 'the DPoP proof is from the future';
    if (ath !== hash('sha256', request.token, 'base64url')) return 'the DPoP proof is for another token';
    return undefined;
  }

  #unused(jkt: string, { jti, nonce }: JWTPayload): DpopProofResult | Promise<DpopProofResult> {
    switch (this.#replays.remember(jkt, jti as string)) {
      case 'replayed':
        return this.#replayed();
      case 'key-full':
        return this.#invalid('too many DPoP proofs of one key');
      case 'full':
        return { ok: false, error: 'overloaded', reason: 'too many DPoP proofs are remembered' };
      case 'new': {
        const { others } = this.#options;
        return others === undefined
          ? this.#taken(nonce)
          : this.#unusedElsewhere(others, jkt, jti as string, nonce);
      }
    }
  }

  async #unusedElsewhere(
    others: OtherGateways,
    jkt: string,
    jti: string,
    nonce: unknown,
  ): Promise<DpopProofResult> {
    const { maxAge, leeway } = this.#options;
    const first = await others.claim(proofDigest(jkt, jti), (maxAge + leeway) * 1000);
    if (first === false) return this.#replayed();
    if (first === undefined) {
      others.onUnknown();
      if (others.required) {
        const reason = 'scopegate cannot check now whether the DPoP proof has been used before';
        return { ok: false, error: 'overloaded', reason };
      }
    }
    return this.#taken(nonce);
  }

  #taken(nonce: unknown): DpopProofResult {
    const current = this.#nonces?.current;
    return current === undefined || current === nonce ? { ok: true } : { ok: true, nonce: current };
  }

  #replayed(): DpopProofResult {
    return this.#invalid('the DPoP proof has been used before');
  }

  #invalid(reason: string): DpopProofResult {
    const nonce = this.#nonces?.current;
    return { ok: false, error: 'invalid_dpop_proof', reason, ...(nonce === undefined ? {} : { nonce }) };
  }
}
