import type { Clock } from '../../model/clock.js';
import { PrerequisiteUnavailable } from './errors.js';
import type { SendCall } from './grant.js';

/** The parts of an authorization server's metadata (RFC 8414 §2) that scopegate uses. */
export interface ServerMetadata {
  readonly introspectionUrl?: string;
  /** The introspection endpoint for clients that authenticate with a certificate (RFC 8705 §5). */
  readonly introspectionUrlWithCertificate?: string;
  readonly jwksUrl?: string;
}

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
    let status = 0;
    for (const url of documents(issuer)) {
      const headers = { accept: 'application/json' };
      const reply = await this.#send({ purpose: 'metadata', url, method: 'GET', headers });
      if (!reply.ok)
        throw new PrerequisiteUnavailable('the metadata of the authorization server cannot be read', reply);
      if (reply.status === 200) return readMetadata(reply.body, issuer);
      status = reply.status;
    }
    throw new PrerequisiteUnavailable(`the authorization server answered ${status} for its metadata`);
  }
}

/** The possible URLs of the metadata: RFC 8414 §3.1, then OpenID Connect Discovery §4. */
function documents(issuer: string): string[] {
  const { origin, pathname } = new URL(issuer);
  const path = pathname.replace(/\/$/, '');
  return [
    `${origin}/.well-known/oauth-authorization-server${path}`,
    `${origin}${path}/.well-known/openid-configuration`,
  ];
}

function readMetadata(body: string, issuer: string): ServerMetadata {
  let document: unknown;
  try {
    document = JSON.parse(body);
  } catch {
    throw new PrerequisiteUnavailable('the metadata of the authorization server is not JSON');
  }
  if (typeof document !== 'object' || document === null) {
    throw new PrerequisiteUnavailable('the metadata of the authorization server is not a JSON object');
  }
  const fields = document as Readonly<Record<string, unknown>>;
  // RFC 8414 §3.3. Otherwise a server could answer for another issuer and redirect tokens to itself.
  if (fields.issuer !== issuer)
    throw new PrerequisiteUnavailable('the metadata names another issuer than the settings');
  const aliases = (fields.mtls_endpoint_aliases ?? {}) as Readonly<Record<string, unknown>>;
  const introspectionUrl = urlOf(fields.introspection_endpoint, issuer);
  const introspectionUrlWithCertificate = urlOf(aliases.introspection_endpoint, issuer);
  const jwksUrl = urlOf(fields.jwks_uri, issuer);
  return {
    ...(introspectionUrl === undefined ? {} : { introspectionUrl }),
    ...(introspectionUrlWithCertificate === undefined ? {} : { introspectionUrlWithCertificate }),
    ...(jwksUrl === undefined ? {} : { jwksUrl }),
  };
}

/** Checks an address in the metadata. It must not use http if the issuer uses https. */
function urlOf(value: unknown, issuer: string): string | undefined {
  if (value === undefined) return undefined;
  const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : undefined;
  const protocols = issuer.startsWith('https:') ? ['https:'] : ['http:', 'https:'];
  if (url === undefined || !protocols.includes(url.protocol) || url.username !== '' || url.hash !== '') {
    throw new PrerequisiteUnavailable('the metadata of the authorization server has an unusable address');
  }
  return url.href;
}
