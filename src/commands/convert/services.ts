import { textOf } from '../../model/json.js';
import { serviceKeys } from '../../rules/apirule/service.js';
import type { ApiRule } from './trial.js';
import type { RuleUpstream } from './upstream.js';

/** The service of a rule, and its entry in the settings. */
export interface PlacedService {
  readonly service: { readonly name: string; readonly port: number };
  /** The origin that the settings need under the service's name; undefined if the default gives it. */
  readonly origin?: string;
}

/**
 * The names of services in the converted rules, and the setting `services` that leads each of them to the
 * upstream of its rule. The settings look a service up by its name alone, while rules of Oathkeeper have whole
 * addresses: two upstreams on one host get different names.
 */
export class ServiceNames {
  /** The origins of services that are not at `http://{name}:{port}`, by name. */
  readonly origins = new Map<string, string>();
  /** What rules rely on: the origin under a key of `services`; undefined if there must be none. */
  readonly #needed = new Map<string, string | undefined>([['default', 'http://{name}:{port}']]);

  /**
   * Names the service of a rule's upstream, so that the settings lead it there, and every earlier one to where
   * it went before.
   *
   * @param namespace the namespace of the rule, by which the settings look a service up first
   */
  place({ scheme, host, port }: RuleUpstream['address'], namespace: string): PlacedService {
    const origin = `${scheme}://${host}:${port}`;
    if (scheme === 'http' && this.#claim(host, namespace, undefined))
      return { service: { name: host, port } };
    for (let count = 0; ; count++) {
      const name =
        [host, `${host}-${port}`, `${host}-${scheme}-${port}`][count] ?? `${host}-${port}-${count}`;
      if (!this.#claim(name, namespace, origin)) continue;
      this.origins.set(name, origin);
      return { service: { name, port }, origin };
    }
  }

  /** Keeps the names of an APIRule's services for it, so that no upstream of an access rule takes them. */
  reserve({ metadata, spec }: ApiRule): void {
    type Service = { name?: unknown; namespace?: unknown } | null | undefined;
    const { namespace = 'default' } = metadata as { namespace?: string };
    const { service, rules } = spec as { service?: Service; rules?: unknown };
    const own = Array.isArray(rules) ? rules.map((rule: { service?: Service } | null) => rule?.service) : [];
    for (const each of [service, ...own]) {
      const within = each?.namespace ?? service?.namespace ?? namespace;
      if (typeof each?.name === 'string') this.#claim(each.name, textOf(within), undefined);
    }
  }

  /**
   * Notes that a service has this origin, or with undefined, that the default gives it.
   *
   * @returns false, and nothing is noted, if another service relies on something else
   */
  #claim(name: string, namespace: string, origin: string | undefined): boolean {
    const [full, own] = serviceKeys({ name, namespace });
    const fits = (key: string, value: string | undefined): boolean =>
      !this.#needed.has(key) || this.#needed.get(key) === value;
    if (!fits(full, undefined) || !fits(own, origin)) return false;
    this.#needed.set(full, undefined);
    this.#needed.set(own, origin);
    return true;
  }
}
