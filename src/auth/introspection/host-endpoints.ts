import type { Endpoint } from '../../model/authorization-server.js';

/**
 * The most hosts for which answers are cached. With a wildcard rule, clients can invent any number of hosts.
 */
const HOSTS = 256;

/**
 * The endpoints of a rule with `preserve_host`: one for each host, because the authorization server may answer
 * by it. An answer is cached for its host only. Beyond the first 256 hosts, answers are not cached.
 */
export class HostEndpoints {
  readonly #endpoint: Endpoint;
  readonly #known = new Map<string, Endpoint>();

  constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint;
  }

  /** @param host of the request, lower case and without port */
  of(host: string): Endpoint {
    const known = this.#known.get(host);
    if (known !== undefined) return known;
    const headers = { ...this.#endpoint.headers, 'x-forwarded-host': host };
    if (this.#known.size >= HOSTS) return { ...this.#endpoint, headers, lifetime: 0 };
    const endpoint = { ...this.#endpoint, headers };
    this.#known.set(host, endpoint);
    return endpoint;
  }
}
