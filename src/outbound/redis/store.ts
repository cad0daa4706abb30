/**
 * A key-value store that several gateways share. Every method may reject, and may never settle. A command
 * with a signal is not sent any more once the signal aborts; deleting and publishing have no signal, because
 * they may be late.
 */
export interface Store {
  /**
   * Identifies the server that keeps a name, because servers fail independently. Empty if there is only one.
   */
  placeOf(name: string): string;
  /** Returns the value of a name; null if there is none. It rejects if the value is too large to be read. */
  get(name: string, signal: AbortSignal): Promise<string | null>;
  /**
   * Sets a name if it does not exist yet.
   *
   * @param life milliseconds until it expires
   * @returns whether it was set
   */
  add(name: string, life: number, signal: AbortSignal): Promise<boolean>;
  /**
   * Sets a name.
   *
   * @param value at most as many bytes as `MAX_VALUE` says; a longer one could not be read
   * @param life milliseconds until it expires
   */
  set(name: string, value: string, life: number, signal: AbortSignal): Promise<unknown>;
  delete(names: readonly string[]): Promise<unknown>;
  /**
   * Adds an entry to a list that is sorted by time.
   *
   * @param at milliseconds since 1970
   * @param life milliseconds until an entry is removed
   * @param most the most entries; beyond that, the oldest are removed
   */
  append(name: string, entry: string, at: number, life: number, most: number): Promise<unknown>;
  /**
   * Reads the entries of such a list, the newest ones if there are too many.
   *
   * @param most the most entries
   */
  entries(name: string, most: number, signal: AbortSignal): Promise<Entries>;
  /** Deletes all names with this prefix, or those that it finds until the signal. */
  deleteAll(prefix: string, signal: AbortSignal): Promise<unknown>;
  publish(channel: string, message: string): Promise<unknown>;
  close(): Promise<void>;
}

/** What was read of a list. */
export interface Entries {
  /** The oldest first. */
  readonly entries: readonly string[];
  /** Whether these are all. */
  readonly complete: boolean;
}

/** The events of a store. */
export interface StoreEvents {
  /** A message of the channel arrived. */
  readonly message: (text: string) => void;
  /** The subscription began. Earlier messages may have been missed. */
  readonly listening: () => void;
  /** The subscription ended. */
  readonly deaf: () => void;
  /** A connection failed or ended. The cause holds no address. */
  readonly failed: (cause: string) => void;
}

/**
 * The addresses of the store: one server, by its address or its Unix socket; a cluster; or the sentinels and the name of their master. Addresses
 * are `redis://` or `rediss://`.
 */
export type StorePlace =
  | { readonly kind: 'single'; readonly url: string }
  | { readonly kind: 'socket'; readonly path: string; readonly database: number }
  | { readonly kind: 'cluster'; readonly nodes: readonly string[] }
  | {
      readonly kind: 'sentinel';
      readonly nodes: readonly string[];
      readonly master: string;
      readonly database: number;
      readonly username?: string;
      readonly password?: () => string;
    };

/** The addresses of the store, and scopegate's credentials there. */
export interface StoreOptions {
  readonly place: StorePlace;
  readonly username?: string;
  readonly password?: () => string;
  /** PEM certificates to trust instead of Node's, for `rediss`. */
  readonly ca?: string;
  /** Milliseconds for one attempt to connect. */
  readonly connectTimeout: number;
}
