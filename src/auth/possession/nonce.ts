import { createHmac } from 'node:crypto';

/**
 * The nonces that clients must put into their proofs (RFC 9449 §9). Nothing is stored: a nonce is a keyed
 * hash of the period it belongs to, so gateways with the same secret issue and accept the same nonces. A
 * nonce of the previous period is still accepted; the response then holds the current one.
 */
export class Nonces {
  readonly #secret: () => string;
  readonly #lifetime: number;
  readonly #now: () => number;
  #period = Number.NaN;
  #current = '';
  #previous = '';

  /**
   * @param secret called at the start of each period
   * @param lifetime seconds for which a nonce is the current one
   * @param now seconds since 1970
   */
  constructor(secret: () => string, lifetime: number, now: () => number) {
    this.#secret = secret;
    this.#lifetime = lifetime;
    this.#now = now;
  }

  /** The nonce to use from now on. */
  get current(): string {
    this.#turn();
    return this.#current;
  }

  /** Whether to accept a proof with this nonce. */
  accepts(nonce: unknown): boolean {
    this.#turn();
    return nonce === this.#current || nonce === this.#previous;
  }

  #turn(): void {
    const period = Math.floor(this.#now() / this.#lifetime);
    if (period === this.#period) return;
    this.#period = period;
    this.#current = this.#of(period);
    this.#previous = this.#of(period - 1);
  }

  #of(period: number): string {
    return createHmac('sha256', this.#secret()).update(`scopegate dpop nonce ${period}`).digest('base64url');
  }
}
