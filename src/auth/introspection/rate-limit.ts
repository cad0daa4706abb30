import { isIPv6 } from 'node:net';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../../model/clock.js';

/** How many tokens that turn out to be none one client may try. */
export interface UnknownTokenLimits {
  /** Such tokens within {@link per}; 0 turns the limit off. */
  readonly badTokens: number;
  /** Milliseconds. */
  readonly per: number;
  /** Clients that are remembered; more than that push out the ones that tried longest ago. */
  readonly maxClients: number;
}

/**
 * Bounds what one client can make the authorization server answer with "not active". Each call for a token that is
 * not in the cache takes a place beforehand, and gives it back where the token turns out to be good: clients with good
 * tokens are never limited, however many they have, unless somebody with bad ones shares their address.
 *
 * A generic cell rate algorithm (ITU-T I.371): one number a client, so that memory is bounded by their count.
 */
export class UnknownTokenLimiter {
  readonly #interval: number;
  readonly #per: number;
  readonly #clock: Clock;
  /** By address: the monotonic time in milliseconds at which all its places are free again. */
  readonly #freeAt: LRUCache<string, number>;

  constructor({ badTokens, per, maxClients }: UnknownTokenLimits, clock: Clock) {
    this.#interval = per / badTokens;
    this.#per = per;
    this.#clock = clock;
    this.#freeAt = new LRUCache({ max: maxClients });
  }

  /**
   * Takes a place.
   *
   * @param address the client's IP address
   * @returns 0, or the milliseconds until there is one
   */
  take(address: string): number {
    const client = clientOf(address);
    const now = this.#clock.monotonic();
    const next = Math.max(now, this.#freeAt.get(client) ?? 0) + this.#interval;
    // Sums of intervals are not exact.
    const wait = next - now - this.#per;
    if (wait > 1e-6) return wait;
    this.#freeAt.set(client, next);
    return 0;
  }

  /** Gives a place back that {@link take} gave. */
  giveBack(address: string): void {
    const client = clientOf(address);
    const freeAt = this.#freeAt.get(client);
    if (freeAt !== undefined) this.#freeAt.set(client, freeAt - this.#interval);
  }

  /** Clients remembered. */
  get size(): number {
    return this.#freeAt.size;
  }
}

/** Of an IPv6 address its network of 64 bits: that is the least a client is given, with all addresses in it. */
function clientOf(address: string): string {
  if (!isIPv6(address)) return address;
  const [head = '', tail] = address.replace(/%.*/, '').split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const after = tail === '' ? [] : tail.split(':');
    // An IPv4 address at the end stands for two groups.
    const missing = 8 - groups.length - after.length - (tail.includes('.') ? 1 : 0);
    groups.push(...Array<string>(Math.max(0, missing)).fill('0'), ...after);
  }
  return groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':');
}
