import type { Clock } from '../../model/clock.js';
import { PrerequisiteUnavailable } from './errors.js';
import type { SendCall } from './grant.js';

/** What an authorization server publishes about itself (RFC 8414 §2), as far as the gateway needs it. */
export interface ServerMetadata {
  readonly introspectionUrl?: string;
  /** The same, for clients that show a certificate (RFC 8705 §5). */
  readonly introspectionUrlWithCertificate?: string;
  readonly jwksUrl?: string;
}

/** Milliseconds for which metadata is used without another look. */
const FRESH = 300_000;
/** Milliseconds after a failed look before the next one, while there is something to go on with. */
const PAUSE = 10_000;

interface Entry {
  metadata?: ServerMetadata;
  /** Monotonic milliseconds. */
  readAt: number;
  lookAt: number;
  flight?: Promise<ServerMetadata>;
}

/**
 * Authorization servers' metadata by issuer (RFC 8414, OpenID Connect Discovery): read when it is first needed, and
 * again in the background as it ages. What was read once goes on while the server cannot be reached: an address does
 * not become wrong by that.
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
   * An address of the metadata in force.
   *
   * @throws PrerequisiteUnavailable when there is none and none can be read
   */
  async address(issuer: string, ...names: readonly (keyof ServerMetadata)[]): Promise<string> {
    const metadata = await this.#current(issuer);
    const name = names.find((each) => metadata[each] !== undefined);
    if (name !== undefined) return metadata[name] as string;
    // What is missing may be there soon.
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
      if (!reply.ok) throw new PrerequisiteUnavailable('the metadata of the authorization server', reply);
      if (reply.status === 200) return readMetadata(reply.body, issuer);
      status = reply.status;
    }
    throw new PrerequisiteUnavailable(`the authorization server answered ${status} for its metadata`);
  }
}

/** Where the metadata may stand: RFC 8414 §3.1, then OpenID Connect Discovery §4. */
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
  // RFC 8414 §3.3: whoever may answer for another issuer could say where tokens are sent.
  if (fields.issuer !== issuer)
    throw new PrerequisiteUnavailable('the metadata is of another issuer than that of the settings');
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

/** An address the server names: never a less protected one than its own. */
function urlOf(value: unknown, issuer: string): string | undefined {
  if (value === undefined) return undefined;
  const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : undefined;
  const protocols = issuer.startsWith('https:') ? ['https:'] : ['http:', 'https:'];
  if (url === undefined || !protocols.includes(url.protocol) || url.username !== '' || url.hash !== '') {
    throw new PrerequisiteUnavailable('the metadata of the authorization server has an unusable address');
  }
  return url.href;
}
