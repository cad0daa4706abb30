import type { Adapter, AdapterPayload } from 'oidc-provider';

/** What the local authorization server remembers: one map, gone with the process, as Hydra's `DSN=memory`. */
export class Store {
  readonly #entries = new Map<string, AdapterPayload>();
  readonly #findClient: (id: string) => AdapterPayload | undefined;

  /** @param findClient where clients are looked up: the admin API's registry owns them */
  constructor(findClient: (id: string) => AdapterPayload | undefined) {
    this.#findClient = findClient;
  }

  /** The adapter of one of oidc-provider's models. Expiry is checked by oidc-provider on every find. */
  adapter(model: string): Adapter {
    const entries = this.#entries;
    const findClient = this.#findClient;
    const key = (id: string) => `${model}:${id}`;
    return {
      async upsert(id, payload) {
        entries.set(key(id), payload);
      },
      async find(id) {
        return model === 'Client' ? findClient(id) : entries.get(key(id));
      },
      async consume(id) {
        const entry = entries.get(key(id));
        if (entry !== undefined) entry.consumed = Math.floor(Date.now() / 1000);
      },
      async destroy(id) {
        entries.delete(key(id));
      },
      // Sessions, device codes and grants belong to flows with a browser, which the stack does not serve.
      async findByUid() {},
      async findByUserCode() {},
      async revokeByGrantId() {},
    };
  }
}
