import { LRUCache } from 'lru-cache';
import type { Clock } from '../../model/clock.js';
import { clientKey } from '../../parse/client-address.js';

/** How many unknown tokens that are not active one client may present. */
export interface UnknownTokenLimits {
  /** The most such tokens within {@link per}; 0 turns the limit off. */
  readonly badTokens: number;
  /** The time that {@link badTokens} is counted in, in milliseconds. */
  readonly per: number;
  /**
   * The most clients that are remembered. Beyond that, the client is dropped whose last attempt is the
   * oldest.
   */
  readonly maxClients: number;
}

/**
 * The rate limit of unknown tokens: bounds how many introspection calls with the result "not active" one
 * client can cause. Each call for a token that is not in the cache takes one unit, and gives it back if the
 * token is active. So clients with valid tokens are never limited, however many they have, unless they share
 * their address with a client that presents invalid ones.
 *
 * A generic cell rate algorithm (ITU-T I.371): one number per client, so that memory is bounded by their
 * count.
 */
export class UnknownTokenLimiter {
  readonly #interval: number;
  readonly #per: number;
  readonly #clock: Clock;
  /** By client: when all its units are available again, in monotonic milliseconds. */
  readonly #freeAt: LRUCache<string, number>;

  constructor({ badTokens, per, maxClients }: UnknownTokenLimits, clock: Clock) {
    this.#interval = per / badTokens;
    this.#per = per;
    this.#clock = clock;
    this.#freeAt = new LRUCache({ max: maxClients });
  }

  /**
   * Takes one unit.
   *
   * @param address the client's IP address
   * @returns 0, or the milliseconds until a unit is available
   */
  take(address: string): number {
    const client = clientKey(address);
    const now = this.#clock.monotonic();
    const next = Math.max(now, this.#freeAt.get(client) ?? 0) + this.#interval;
    // Tolerance, because sums of intervals are not exact.
    const wait = next - now - this.#per;
    if (wait > 1e-6) return wait;
    this.#freeAt.set(client, next);
    return 0;
  }

  /**
   * Gives back a unit that {@link take} took.
   *
   * @param address the client's IP address
   */
  giveBack(address: string): void {
    const client = clientKey(address);
    const freeAt = this.#freeAt.get(client);
    if (freeAt !== undefined) this.#freeAt.set(client, freeAt - this.#interval);
  }

  /** The number of clients that are remembered. */
  get size(): number {
    return this.#freeAt.size;
  }
}
