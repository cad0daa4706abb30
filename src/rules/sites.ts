import type { Rule } from '../decide.js';
import { entryOf } from './entry.js';
import { shapeOf } from './syntax.js';

/** The rules of one host pattern and one method, findable by how their paths begin. */
export class Site {
  readonly host: string;
  readonly method: string;
  readonly rules: Rule[] = [];
  readonly #byPrefix = new Map<string, Rule[]>();
  #lengths: number[] = [];

  constructor(host: string, method: string) {
    this.host = host;
    this.method = method;
  }

  add(rule: Rule): void {
    this.rules.push(rule);
    const { prefix } = shapeOf(rule.pattern);
    const same = this.#byPrefix.get(prefix);
    if (same !== undefined) same.push(rule);
    else {
      this.#byPrefix.set(prefix, [rule]);
      if (!this.#lengths.includes(prefix.length))
        this.#lengths = [...this.#lengths, prefix.length].sort((a, b) => a - b);
    }
  }

  /**
   * The rules whose literal beginning is a beginning of `text`: all others' paths begin differently.
   *
   * @param below only those whose literal beginning is shorter than this, in characters
   */
  *beginning(text: string, below: number = Number.POSITIVE_INFINITY): Generator<Rule> {
    for (const length of this.#lengths) {
      if (length > text.length || length >= below) return;
      const rules = this.#byPrefix.get(text.slice(0, length));
      if (rules !== undefined) yield* rules;
    }
  }
}

/** All sites, by host pattern and method. */
export class Sites {
  readonly #byHost = new Map<string, Map<string, Site>>();

  constructor(rules: readonly Rule[]) {
    for (const rule of rules) {
      for (const host of ownHosts(rule.hosts)) {
        for (const method of new Set(rule.methods)) this.#site(host, method).add(rule);
      }
    }
  }

  #site(host: string, method: string): Site {
    const methods = entryOf(this.#byHost, host, () => new Map<string, Site>());
    return entryOf(methods, method, () => new Site(host, method));
  }

  get hosts(): IterableIterator<[host: string, methods: ReadonlyMap<string, Site>]> {
    return this.#byHost.entries();
  }

  *[Symbol.iterator](): Generator<Site> {
    for (const methods of this.#byHost.values()) yield* methods.values();
  }

  /** The sites of the same method whose host pattern holds all of this one's hosts and more. */
  *around({ host, method }: Pick<Site, 'host' | 'method'>): Generator<Site> {
    for (const wildcard of wildcardsAround(host)) {
      const site = this.#byHost.get(wildcard)?.get(method);
      if (site !== undefined) yield site;
    }
  }
}

/**
 * The `*.suffix` patterns that hold all hosts of a pattern, and more, the narrowest first. A wildcard stands for one
 * label or several, as in Istio: `*.example.com` holds `a.b.example.com`, and not `example.com`.
 */
export function* wildcardsAround(host: string): Generator<string> {
  const from = host.startsWith('*.') ? 2 : 0;
  for (let dot = host.indexOf('.', from); dot !== -1; dot = host.indexOf('.', dot + 1))
    yield `*${host.slice(dot)}`;
}

/** A rule's hosts without repetitions and without those that its own wildcards hold. */
function ownHosts(hosts: readonly string[]): string[] {
  const distinct = new Set(hosts);
  return [...distinct].filter(
    (host) => ![...wildcardsAround(host)].some((wildcard) => distinct.has(wildcard)),
  );
}
