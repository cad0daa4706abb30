import type { Rule } from '../decide.js';
import { entryOf } from './entry.js';
import type { Proof } from './proof.js';
import { type Sites, wildcardsAround } from './sites.js';
import { shapeOf } from './syntax.js';

const ASTERISK = 0x2a;

/**
 * Finds the rule of a request: by host, method, and the literal beginning of the path; then each rule that is left is
 * tried, the innermost first.
 */
export class Matcher {
  readonly #hosts = new Map<string, Host>();
  /** Whether any host pattern is a wildcard. */
  #wild = false;
  readonly #rivals: Proof['rivals'];

  constructor(sites: Sites, { depths, rivals }: Pick<Proof, 'depths' | 'rivals'>) {
    this.#rivals = rivals;
    for (const [host, methods] of sites.hosts) {
      const indexes = new Map<string, Index>();
      for (const [method, site] of methods) {
        const depth = depths.get(site);
        const entries = site.rules.map((rule) => ({ rule, depth: depth?.get(rule) ?? 0 }));
        indexes.set(method, new Index(entries));
      }
      this.#hosts.set(host, { indexes, around: [] });
      this.#wild ||= host.startsWith('*.');
    }
    if (!this.#wild) return;
    for (const [name, host] of this.#hosts) host.around.push(...this.#around(name));
  }

  /** See `RuleTable.find`. */
  find(name: string, method: string, path: string): Rule | undefined {
    // No request's host is a pattern, but a pattern's name is a key here.
    if (name.charCodeAt(0) === ASTERISK) return undefined;
    const host = this.#hosts.get(name);
    let found = host?.indexes.get(method)?.find(path);
    if (this.#wild) {
      for (const outer of host?.around ?? this.#around(name)) {
        const other = outer.indexes.get(method)?.find(path);
        if (other !== undefined && (found === undefined || other.depth > found.depth)) found = other;
      }
    }
    if (found === undefined) return undefined;
    const { rule } = found;
    if (this.#rivals.size > 0 && this.#isContested(rule, name, method, path)) return undefined;
    return rule;
  }

  #around(name: string): Host[] {
    return [...wildcardsAround(name)]
      .map((host) => this.#hosts.get(host))
      .filter((host) => host !== undefined);
  }

  /** Whether a rule that may overlap with this one, nobody knows where, matches as well. */
  #isContested(rule: Rule, name: string, method: string, path: string): boolean {
    const names = [name, ...wildcardsAround(name)];
    return (this.#rivals.get(rule) ?? []).some(
      (rival) =>
        rival.pattern.test(path) &&
        rival.methods.includes(method) &&
        rival.hosts.some((host) => names.includes(host)),
    );
  }
}

interface Host {
  readonly indexes: ReadonlyMap<string, Index>;
  /** The wildcards that hold this host. */
  readonly around: Host[];
}

interface Entry {
  readonly rule: Rule;
  readonly depth: number;
}

/** The rules of one host pattern and method. */
class Index {
  readonly #literals = new Map<string, Entry>();
  /** By literal beginning, the innermost rules first. */
  readonly #prefixes = new Map<string, Entry[]>();
  /** The lengths of the literal beginnings, the longest first. */
  readonly #lengths: number[];

  constructor(entries: readonly Entry[]) {
    for (const entry of entries) {
      const { literal, prefix } = shapeOf(entry.rule.pattern);
      if (literal) this.#literals.set(prefix, entry);
      else entryOf(this.#prefixes, prefix, () => [] as Entry[]).push(entry);
    }
    for (const same of this.#prefixes.values()) same.sort((a, b) => b.depth - a.depth);
    this.#lengths = [...new Set([...this.#prefixes.keys()].map(({ length }) => length))].sort(
      (a, b) => b - a,
    );
  }

  find(path: string): Entry | undefined {
    // A literal rule lies inside every other that matches its path.
    const literal = this.#literals.get(path);
    if (literal !== undefined) return literal;
    let found: Entry | undefined;
    for (const length of this.#lengths) {
      if (length > path.length) continue;
      const candidates = this.#prefixes.get(path.slice(0, length));
      if (candidates === undefined) continue;
      for (const candidate of candidates) {
        if (found !== undefined && candidate.depth <= found.depth) break;
        if (!candidate.rule.pattern.test(path)) continue;
        found = candidate;
        break;
      }
    }
    return found;
  }
}
