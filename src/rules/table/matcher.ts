import type { Rule } from '../../model/rule.js';
import { type HostIndex, holdHost, wildcardsAround } from './hosts.js';
import type { OverlapAnalysis } from './overlaps.js';
import { Tree } from './tree.js';

const ASTERISK = 0x2a;

/**
 * Finds the rule of a request by host, method and the segments of the path. It then tries the remaining
 * rules; the innermost is tried first.
 */
export class Matcher {
  readonly #hosts = new Map<string, Host>();
  /** Whether any host pattern is a wildcard. */
  #wild = false;
  readonly #rivals: OverlapAnalysis['rivals'];

  private constructor(rivals: OverlapAnalysis['rivals']) {
    this.#rivals = rivals;
  }

  /** Builds a matcher, in steps of a few microseconds. */
  static *grow(
    index: HostIndex,
    { depths, rivals }: Pick<OverlapAnalysis, 'depths' | 'rivals'>,
  ): Generator<void, Matcher> {
    const matcher = new Matcher(rivals);
    for (const [host, methods] of index.hosts) {
      const trees = new Map<string, Tree>();
      for (const [method, entry] of methods) {
        trees.set(method, yield* Tree.grow(entry.rules, depths.get(entry)));
      }
      matcher.#hosts.set(host, { trees, around: [] });
      matcher.#wild ||= host.charCodeAt(0) === ASTERISK;
    }
    if (!matcher.#wild) return matcher;
    for (const [name, host] of matcher.#hosts) {
      host.around.push(...matcher.#around(name));
      yield;
    }
    return matcher;
  }

  /** See `RuleTable.find`. */
  find(name: string, method: string, path: string): Rule | undefined {
    // A request's host is never a pattern, but the names of patterns are keys here.
    if (name.charCodeAt(0) === ASTERISK) return undefined;
    const host = this.#hosts.get(name);
    let found = host?.trees.get(method)?.find(path);
    if (this.#wild) {
      for (const outer of host?.around ?? this.#around(name)) {
        const other = outer.trees.get(method)?.find(path);
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

  /**
   * Whether another rule matches as well, for which it is not proved that it does not overlap with this one.
   */
  #isContested(rule: Rule, name: string, method: string, path: string): boolean {
    return (this.#rivals.get(rule) ?? []).some(
      (rival) => rival.pattern.test(path) && rival.methods.includes(method) && holdHost(rival.hosts, name),
    );
  }
}

interface Host {
  readonly trees: ReadonlyMap<string, Tree>;
  /** The wildcards that contain this host. */
  readonly around: Host[];
}
