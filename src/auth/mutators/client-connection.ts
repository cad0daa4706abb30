import type { X509Certificate } from 'node:crypto';
import type { ClientConnection } from '../../model/mutator.js';
import type { RequestContext, Services } from '../../model/strategy.js';
import { forwardedScheme } from '../../parse/forwarded-scheme.js';
import type { Peer, TlsParameters } from '../../parse/peer.js';

/**
 * Builds what mutators see of the connection of a request.
 *
 * @returns undefined if the request has no connection
 */
export function clientConnection(request: RequestContext, services: Services): ClientConnection | undefined {
  return request.peer === undefined ? undefined : new Connection(request, request.peer, services);
}

class Connection implements ClientConnection {
  readonly peer: Peer;
  readonly #request: RequestContext;
  readonly #services: Services;
  #certificate: X509Certificate | null | undefined = null;

  constructor(request: RequestContext, peer: Peer, services: Services) {
    this.peer = peer;
    this.#request = request;
    this.#services = services;
  }

  get now(): number {
    return this.#services.now();
  }

  get certificate(): X509Certificate | undefined {
    if (this.#certificate === null) {
      const { possession } = this.#services;
      this.#certificate = typeof possession === 'object' ? possession.certificate(this.#request) : undefined;
    }
    return this.#certificate;
  }

  get address(): string {
    const { clientAddress } = this.#services;
    return clientAddress?.(this.peer, this.#request.fields) ?? this.peer.address;
  }

  get version(): string | undefined {
    return this.#isDescribed ? undefined : this.#request.fields.version;
  }

  get tls(): TlsParameters | undefined {
    return this.#isDescribed ? undefined : this.peer.tls;
  }

  get scheme(): string {
    const { scheme, fields } = this.#request;
    const forwarded = this.peer.trusted ? forwardedScheme(fields) : undefined;
    return scheme ?? forwarded ?? (this.peer.secure ? 'https' : 'http');
  }

  get requestId(): string | undefined {
    return this.#request.requestId;
  }

  /** Whether a proxy describes the request that it received itself (forward-auth). */
  get #isDescribed(): boolean {
    return this.#request.scheme !== undefined;
  }
}
