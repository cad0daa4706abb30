/**
 * A key-value store that several gateways share. Everything may reject, and may take for ever. What has not been sent
 * when its signal aborts never is; what deletes or tells may be late.
 */
export interface Store {
  /** The server that keeps a name: trouble there says nothing of another. Empty where there is one only. */
  placeOf(name: string): string;
  get(name: string, signal: AbortSignal): Promise<string | null>;
  /**
   * Sets a name that is not there yet.
   *
   * @param life milliseconds
   * @returns whether it was not
   */
  add(name: string, life: number, signal: AbortSignal): Promise<boolean>;
  /** @param life milliseconds */
  set(name: string, value: string, life: number, signal: AbortSignal): Promise<unknown>;
  delete(names: readonly string[]): Promise<unknown>;
  /**
   * Adds an entry to a list that is kept in the order of their times.
   *
   * @param at milliseconds since 1970
   * @param life milliseconds that an entry stays
   * @param most entries that are kept; the oldest go
   */
  append(name: string, entry: string, at: number, life: number, most: number): Promise<unknown>;
  /** The entries of such a list, the oldest first. */
  entries(name: string, signal: AbortSignal): Promise<string[]>;
  /** Deletes all names that begin so. */
  deleteAll(prefix: string): Promise<unknown>;
  publish(channel: string, message: string): Promise<unknown>;
  close(): Promise<void>;
}

/** What a store has to tell. */
export interface StoreEvents {
  /** A message of the channel. */
  readonly message: (text: string) => void;
  /** The channel is listened to from now on; what was said before that may have been missed. */
  readonly listening: () => void;
  /** It is not listened to any more. */
  readonly deaf: () => void;
  /** A connection failed or ended; the cause holds no address. */
  readonly failed: (cause: string) => void;
}

/** Where the store is: one server, a cluster, or a master that sentinels name. Addresses are `redis://` or `rediss://`. */
export type StorePlace =
  | { readonly kind: 'single'; readonly url: string }
  | { readonly kind: 'cluster'; readonly nodes: readonly string[] }
  | {
      readonly kind: 'sentinel';
      readonly nodes: readonly string[];
      readonly master: string;
      readonly database: number;
      readonly username?: string;
      readonly password?: () => string;
    };

/** Where the store is, and who the gateway is there. */
export interface StoreOptions {
  readonly place: StorePlace;
  readonly username?: string;
  readonly password?: () => string;
  /** PEM certificates to trust instead of Node's own, for `rediss`. */
  readonly ca?: string;
  /** Milliseconds. */
  readonly connectTimeout: number;
}
