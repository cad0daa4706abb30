import type { Rule } from '../../model/rule.js';

/**
 * The most pairs of rules that are remembered. A long chain of rules, each inside the one before, has a pair for every
 * two of them.
 */
const MAX_PAIRS = 100_000;

/** Collects which rules lie inside which other rules, for people who look at a rule set. */
export class Containment {
  readonly #around = new Map<Rule, Set<Rule>>();
  #pairs = 0;

  /** The overlap analysis found that one rule lies inside another, on some host and method. */
  add(inner: Rule, outer: Rule): void {
    let around = this.#around.get(inner);
    if (around === undefined) {
      around = new Set();
      this.#around.set(inner, around);
    }
    if (this.#pairs > MAX_PAIRS || around.has(outer)) return;
    around.add(outer);
    this.#pairs++;
  }

  /**
   * Returns each rule with the rules directly around it: not with those that only contain one of these.
   *
   * @returns undefined if there are too many pairs
   */
  direct(): (readonly [inner: Rule, outer: Rule])[] | undefined {
    if (this.#pairs > MAX_PAIRS) return undefined;
    return [...this.#around].flatMap(([inner, around]) => {
      const indirect = new Set<Rule>();
      for (const outer of around) for (const wider of this.#around.get(outer) ?? []) indirect.add(wider);
      return [...around].filter((outer) => !indirect.has(outer)).map((outer) => [inner, outer] as const);
    });
  }
}
