import { hash } from 'node:crypto';

/** How many proofs are remembered, and for how long. */
export interface ReplayLimits {
  /** How long a proof is remembered, in seconds: as long as it could be accepted again. */
  readonly lifetime: number;
  readonly maxProofs: number;
  /** The most proofs of one key. A client that sends too many proofs fills only its own share. */
  readonly maxPerKey: number;
}

/** Identifies a proof: the SHA-256 of its key's thumbprint and its `jti`, in base64. */
export function proofDigest(key: string, id: string): string {
  // JSON separates the two parts unambiguously.
  return hash('sha256', JSON.stringify([key, id]), 'base64');
}

/** The result of looking a proof up in the store. */
export type ReplayResult = 'new' | 'replayed' | 'key-full' | 'full';

/**
 * Remembers which proofs were used (RFC 9449 §11.1), by hashes of their identifiers. It never evicts a proof
 * early to make room: an evicted proof could be used again. Callers must verify signature and token of a
 * proof first, so that nobody without a token can fill the store.
 */
export class ReplayCache {
  readonly #limits: ReplayLimits;
  readonly #now: () => number;
  /** In the order in which they expire. */
  readonly #proofs = new Map<string, { readonly key: string; readonly until: number }>();
  readonly #perKey = new Map<string, number>();

  /** @param now seconds since 1970 */
  constructor(limits: ReplayLimits, now: () => number) {
    this.#limits = limits;
    this.#now = now;
  }

  /** The number of proofs remembered now. */
  get size(): number {
    return this.#proofs.size;
  }

  /**
   * Remembers a proof, unless it is known already or there is no room.
   *
   * @param key the thumbprint of the key that signed it
   * @param id its `jti`
   */
  remember(key: string, id: string): ReplayResult {
    const now = this.#now();
    this.#forget(now);
    const proof = proofDigest(key, id);
    if (this.#proofs.has(proof)) return 'replayed';
    const count = this.#perKey.get(key) ?? 0;
    if (count >= this.#limits.maxPerKey) return 'key-full';
    if (this.#proofs.size >= this.#limits.maxProofs) return 'full';
    this.#proofs.set(proof, { key, until: now + this.#limits.lifetime });
    this.#perKey.set(key, count + 1);
    return 'new';
  }

  #forget(now: number): void {
    for (const [proof, { key, until }] of this.#proofs) {
      if (until >= now) return;
      this.#proofs.delete(proof);
      const left = (this.#perKey.get(key) ?? 1) - 1;
      if (left === 0) this.#perKey.delete(key);
      else this.#perKey.set(key, left);
    }
  }
}
