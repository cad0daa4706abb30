import { clientKey } from '../parse/client-address.js';
import type { Peer } from '../parse/peer.js';

/** The limits of each client; 0 turns a limit off. */
export interface ClientShareLimits {
  readonly connections: number;
  readonly inFlight: number;
  readonly longExchanges: number;
}

/** The limit that a client has reached. */
export type ClientShareKind = keyof ClientShareLimits;

/** The events of the shares. */
export interface ClientSharesOptions extends ClientShareLimits {
  /** Called for each connection, request or long exchange that is refused. */
  readonly onRefused: (kind: ClientShareKind) => void;
}

/**
 * Enforces the limits of each client: the number of its connections, requests in flight and long exchanges.
 * Clients are told apart by their IPv4 address or IPv6 /64 network.
 */
export class ClientShares {
  readonly #connections: Counts;
  readonly #inFlight: Counts;
  readonly #long: Counts;
  readonly #onRefused: (kind: ClientShareKind) => void;

  constructor({ connections, inFlight, longExchanges, onRefused }: ClientSharesOptions) {
    this.#connections = new Counts(connections);
    this.#inFlight = new Counts(inFlight);
    this.#long = new Counts(longExchanges);
    this.#onRefused = onRefused;
  }

  /**
   * Counts one more connection. A trusted proxy may have any number: it carries the requests of many clients.
   *
   * @returns the function to call when the connection closes; undefined if the client has reached its limit
   */
  connect({ address, trusted }: Pick<Peer, 'address' | 'trusted'>): (() => void) | undefined {
    const client = clientKey(address);
    if (trusted || address === '') return () => {};
    if (this.#connections.take(client)) return () => this.#connections.leave(client);
    this.#onRefused('connections');
    return undefined;
  }

  /** @param address the client's IP address, which a trusted proxy may have stated */
  of(address: string): RequestShare {
    return new RequestShare(clientKey(address), this.#inFlight, this.#long, this.#onRefused);
  }
}

/** One request, as it counts towards the limits of its client. */
export class RequestShare {
  readonly #client: string;
  readonly #inFlight: Counts;
  readonly #long: Counts;
  readonly #onRefused: (kind: ClientShareKind) => void;
  #countsInFlight = false;
  #countsLong = false;

  constructor(client: string, inFlight: Counts, long: Counts, onRefused: (kind: ClientShareKind) => void) {
    this.#client = client;
    this.#inFlight = inFlight;
    this.#long = long;
    this.#onRefused = onRefused;
  }

  /** The request is in flight. @returns false if the client has reached its limit */
  joinInFlight(): boolean {
    this.#countsInFlight ||= this.#inFlight.take(this.#client);
    if (!this.#countsInFlight) this.#onRefused('inFlight');
    return this.#countsInFlight;
  }

  leaveInFlight(): void {
    if (this.#countsInFlight) this.#inFlight.leave(this.#client);
    this.#countsInFlight = false;
  }

  /** The exchange is long. @returns false if the client has reached its limit */
  joinLong(): boolean {
    this.#countsLong ||= this.#long.take(this.#client);
    if (!this.#countsLong) this.#onRefused('longExchanges');
    return this.#countsLong;
  }

  leaveLong(): void {
    if (this.#countsLong) this.#long.leave(this.#client);
    this.#countsLong = false;
  }
}

/** Counts things of one kind for each client. A client without any takes no memory. */
class Counts {
  readonly #most: number;
  readonly #counts = new Map<string, number>();

  /** @param most for each client; 0 for any number */
  constructor(most: number) {
    this.#most = most;
  }

  take(client: string): boolean {
    if (this.#most === 0) return true;
    const count = this.#counts.get(client) ?? 0;
    if (count >= this.#most) return false;
    this.#counts.set(client, count + 1);
    return true;
  }

  leave(client: string): void {
    if (this.#most === 0) return;
    const count = this.#counts.get(client) ?? 0;
    if (count <= 1) this.#counts.delete(client);
    else this.#counts.set(client, count - 1);
  }
}
