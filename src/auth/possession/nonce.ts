import { createHmac } from 'node:crypto';

/**
 * The nonces that clients must put into their proofs (RFC 9449 §9). Nothing is stored: a nonce is the keyed hash of the
 * period it belongs to, so that several gateways with one secret give and take the same ones. One of the period before
 * is still taken, and answered with a newer one.
 */
export class Nonces {
  readonly #secret: () => string;
  readonly #lifetime: number;
  readonly #now: () => number;
  #period = Number.NaN;
  #current = '';
  #previous = '';

  /**
   * @param secret asked for at the start of each period
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

  /** Whether a proof with this nonce is taken. */
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
