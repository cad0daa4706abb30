import { hash } from 'node:crypto';

/** How many proofs are remembered, and for how long. */
export interface ReplayLimits {
  /** Seconds a proof is remembered: as long as it could be accepted again. */
  readonly lifetime: number;
  readonly maxProofs: number;
  /** Of one key: a client that floods the store fills its own share and no more. */
  readonly maxPerKey: number;
}

/** What stands for a proof: a SHA-256 of the thumbprint of its key and its `jti`, in base64. */
export function proofDigest(key: string, id: string): string {
  // JSON delimits the parts.
  return hash('sha256', JSON.stringify([key, id]), 'base64');
}

/** What became of a proof that was shown to the store. */
export type ReplayResult = 'new' | 'replayed' | 'key-full' | 'full';

/**
 * Remembers which proofs were used (RFC 9449 §11.1), by hashes of their identifiers. Nothing is forgotten before its
 * time to make room: a proof that was pushed out could be used again. Only proofs whose signature and token have been
 * verified may come here, so that nobody without a token can fill it.
 */
export class ReplayCache {
  readonly #limits: ReplayLimits;
  readonly #now: () => number;
  /** In the order they end. */
  readonly #proofs = new Map<string, { readonly key: string; readonly until: number }>();
  readonly #perKey = new Map<string, number>();

  /** @param now seconds since 1970 */
  constructor(limits: ReplayLimits, now: () => number) {
    this.#limits = limits;
    this.#now = now;
  }

  /** Proofs remembered now. */
  get size(): number {
    return this.#proofs.size;
  }

  /**
   * Remembers a proof, unless it is known or there is no room.
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
