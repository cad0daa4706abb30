import type { Clock } from '../../model/clock.js';
import { fetchMetadata, MetadataError, type ServerMetadata } from '../../outbound/server-metadata.js';
import { PrerequisiteUnavailable } from './errors.js';
import type { SendCall } from './grant.js';

/** Milliseconds for which metadata is used before it is read again. */
const FRESH = 300_000;
/** Milliseconds from a failed read to the next one, while old metadata is still in use. */
const PAUSE = 10_000;

interface Entry {
  metadata?: ServerMetadata;
  /** Monotonic milliseconds. */
  readAt: number;
  lookAt: number;
  flight?: Promise<ServerMetadata>;
}

/**
 * The metadata of authorization servers by issuer (RFC 8414, OpenID Connect Discovery). It is read at the
 * first use, and read again in the background as it ages. If the server cannot be reached, the old metadata
 * stays in use: an outage does not make an address wrong.
 */
export class MetadataStore {
  readonly #send: SendCall;
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();

  constructor(send: SendCall, clock: Clock) {
    this.#send = send;
    this.#clock = clock;
  }

  /**
   * Returns an address from the metadata of an issuer.
   *
   * @param names the fields to look at; the first one that is present counts
   * @throws PrerequisiteUnavailable if the metadata cannot be read or has none of the fields
   */
  async address(issuer: string, ...names: readonly (keyof ServerMetadata)[]): Promise<string> {
    const metadata = await this.#current(issuer);
    const name = names.find((each) => metadata[each] !== undefined);
    if (name !== undefined) return metadata[name] as string;
    // The server may publish the field later, so read the metadata again after a pause.
    const entry = this.#entries.get(issuer) as Entry;
    if (this.#clock.monotonic() < entry.readAt + PAUSE)
      throw new PrerequisiteUnavailable(`the metadata has no ${names.at(-1)}`);
    delete entry.metadata;
    return await this.address(issuer, ...names);
  }

  async #current(issuer: string): Promise<ServerMetadata> {
    let entry = this.#entries.get(issuer);
    if (entry === undefined) {
      entry = { readAt: 0, lookAt: 0 };
      this.#entries.set(issuer, entry);
    }
    if (entry.metadata === undefined) return await this.#look(issuer, entry);
    if (this.#clock.monotonic() >= entry.lookAt) void this.#look(issuer, entry).catch(() => {});
    return entry.metadata;
  }

  #look(issuer: string, entry: Entry): Promise<ServerMetadata> {
    entry.flight ??= this.#read(issuer)
      .then(
        (metadata) => {
          entry.metadata = metadata;
          entry.readAt = this.#clock.monotonic();
          entry.lookAt = entry.readAt + FRESH;
          return metadata;
        },
        (error: unknown) => {
          entry.lookAt = this.#clock.monotonic() + PAUSE;
          throw error;
        },
      )
      .finally(() => delete entry.flight);
    return entry.flight;
  }

  async #read(issuer: string): Promise<ServerMetadata> {
    try {
      return await fetchMetadata(issuer, 'introspection', this.#send);
    } catch (error) {
      if (!(error instanceof MetadataError)) throw error;
      throw new PrerequisiteUnavailable(error.message, error.reply);
    }
  }
}
