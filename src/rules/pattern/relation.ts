import { LRUCache } from 'lru-cache';
import { type AnalysisBudget, UNLIMITED } from '../budget.js';
import { PATH_CODES } from './alphabet.js';
import { type Automaton, automatonOf, automatonOfLiteral } from './automaton.js';
import { getOrInsert } from './get-or-insert.js';
import { type Shape, shapeOf, unwrap } from './syntax.js';

/** How the sets of paths of two patterns relate to each other. */
export type Relation = 'disjoint' | 'a-in-b' | 'b-in-a' | 'equal' | 'partial' | 'undecided';

/** The result of {@link relate}. */
export interface Related {
  /** For example, `a-in-b`: every path of `a` is one of `b`, and `b` has others. */
  readonly relation: Relation;
  /**
   * A shortest path that both match; it has been tested with the expressions that serve. It is absent if they
   * are disjoint. If the relation is undecided, it is present only if an overlap is certain nevertheless.
   */
  readonly witness?: string;
}

/** The most pairs of states that are visited. After that, a pair of patterns counts as undecided. */
const MAX_PAIRS = 1_000_000;

/** The most paths of a decided pattern that are tried on an undecided one. */
const MAX_TRIALS = 2_000;

/**
 * Proves how the paths of two patterns relate to each other, for the paths that can occur (`alphabet.ts`). It
 * walks both automata in parallel. The result is exact for the regular fragment: it does not depend on the
 * order or on chance.
 *
 * @param a a pattern from `compilePattern`
 * @param b another one
 * @param budget the limits for the states of automata that the proof needs
 * @throws what the budget throws when it is used up
 */
export function relate(a: RegExp, b: RegExp, budget: AnalysisBudget = UNLIMITED): Related {
  const left = analysisOf(a);
  const right = analysisOf(b);
  if (areApart(left.shape, right.shape)) return { relation: 'disjoint' };
  if (left.shape.literal && !b.test(left.shape.prefix)) return { relation: 'disjoint' };
  if (right.shape.literal && !a.test(right.shape.prefix)) return { relation: 'disjoint' };
  budget.spend(1);
  const [inLeft, inRight] = [left.automaton(budget), right.automaton(budget)];
  if (inLeft === undefined || inRight === undefined) return guess(a, inLeft, b, inRight);

  const related = walk(inLeft, inRight, budget);
  // The proof uses the automata, but requests are matched with the two expressions, so both must agree.
  const { witness } = related;
  if (witness !== undefined && !(a.test(witness) && b.test(witness))) return { relation: 'undecided' };
  return related;
}

/**
 * Whether a pattern lies inside another one that matches all paths with some prefix (`/.*`), and the other
 * one matches more. True is a proof; false means nothing. It also works for patterns that no automaton
 * decides.
 */
export function isPlainlyInside(inner: RegExp, outer: RegExp): boolean {
  const shape = shapeOf(inner);
  const { prefix, catchAll } = shapeOf(outer);
  return (
    catchAll &&
    shape.sample !== undefined &&
    shape.prefix.startsWith(prefix) &&
    [prefix, `${prefix}~!`, `${prefix}a/~!`].some((path) => path.startsWith('/') && !inner.test(path))
  );
}

/**
 * A shortest path that the pattern matches.
 *
 * @returns undefined if it matches none, or if that is undecided
 */
export function exampleOf(pattern: RegExp): string | undefined {
  const automaton = analysisOf(pattern).automaton(UNLIMITED);
  return automaton === undefined ? undefined : walk(automaton, automaton, UNLIMITED).witness;
}

/**
 * Whether it is proved that the pattern matches no path at all.
 *
 * @param budget as in {@link relate}
 */
export function matchesNothing(pattern: RegExp, budget: AnalysisBudget = UNLIMITED): boolean {
  const analysis = analysisOf(pattern);
  return analysis.shape.sample === undefined && analysis.automaton(budget)?.initial === -1;
}

/** The most numbers in the tables of all cached automata. The least recently used ones are evicted. */
const MAX_CELLS = 8_000_000;
const automata = new LRUCache<RegExp, { readonly automaton: Automaton | undefined }>({
  maxSize: MAX_CELLS,
  sizeCalculation: ({ automaton }) => (automaton?.next.length ?? 0) + 1,
});

/** What is known about one pattern. Its automaton is built when a proof needs it. */
class PatternAnalysis {
  readonly shape: Shape;
  readonly #pattern: RegExp;

  constructor(pattern: RegExp) {
    this.#pattern = pattern;
    this.shape = shapeOf(pattern);
  }

  /** Undefined if the pattern is outside the regular fragment, or its automaton is too large. */
  automaton(budget: AnalysisBudget): Automaton | undefined {
    if (this.shape.undecidable !== undefined) return undefined;
    if (this.shape.literal) return automatonOfLiteral(this.shape.prefix);
    let known = automata.get(this.#pattern);
    if (known === undefined) {
      known = { automaton: automatonOf(unwrap(this.#pattern), this.#pattern.flags, budget) };
      automata.set(this.#pattern, known);
    }
    return known.automaton;
  }
}

const analyses = new WeakMap<RegExp, PatternAnalysis>();

function analysisOf(pattern: RegExp): PatternAnalysis {
  return getOrInsert(analyses, pattern, () => new PatternAnalysis(pattern));
}

/** Whether two patterns differ in how all their paths begin or end, in a segment, or in their length. */
export function areApart(a: Shape, b: Shape): boolean {
  return (
    a.segments.some((segment, i) => {
      const other = b.segments[i];
      return segment !== undefined && other !== undefined && segment !== other;
    }) ||
    !(a.prefix.startsWith(b.prefix) || b.prefix.startsWith(a.prefix)) ||
    !(a.suffix.endsWith(b.suffix) || b.suffix.endsWith(a.suffix)) ||
    a.max < b.min ||
    b.max < a.min
  );
}

/**
 * One of the two patterns has no automaton. An overlap may still be certain, if a path is found that both
 * match.
 */
function guess(a: RegExp, left: Automaton | undefined, b: RegExp, right: Automaton | undefined): Related {
  for (const automaton of [left, right]) {
    if (automaton === undefined) continue;
    for (const path of pathsOf(automaton, MAX_TRIALS)) {
      if (a.test(path) && b.test(path)) return { relation: 'undecided', witness: path };
    }
  }
  return { relation: 'undecided' };
}

/** The paths of an automaton, shortest first. Characters that it treats alike give only one path. */
function* pathsOf(automaton: Automaton, limit: number): Generator<string> {
  if (automaton.initial === -1) return;
  const codes = sampleCodes(automaton, automaton);
  const open: [state: number, path: string][] = [[automaton.initial, '']];
  for (let i = 0; i < open.length && i < limit; i++) {
    const [state, path] = open[i] as [number, string];
    if (automaton.accepting[state] === 1) yield path;
    for (const code of codes) {
      const to = automaton.next[state * automaton.width + (automaton.columns[code] as number)] as number;
      if (to !== -1) open.push([to, path + String.fromCharCode(code)]);
    }
  }
}

/** The most readable character of each class of characters that the two automata distinguish. */
function sampleCodes(a: Automaton, b: Automaton): number[] {
  const seen = new Set<number>();
  return PATH_CODES.filter((code) => {
    const key = (a.columns[code] as number) * 128 + (b.columns[code] as number);
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

/**
 * Walks two trimmed automata in parallel, breadth first, so that the first accepting pair gives a shortest
 * common path. If one can take a step and the other cannot, the first has a path that the other lacks:
 * because it is trimmed, it can still reach an accepting state.
 */
function walk(a: Automaton, b: Automaton, budget: AnalysisBudget): Related {
  if (a.initial === -1 || b.initial === -1) return { relation: 'disjoint' };
  const codes = sampleCodes(a, b);
  const aColumns = codes.map((code) => a.columns[code] as number);
  const bColumns = codes.map((code) => b.columns[code] as number);
  const size = b.accepting.length;
  const open = new Pairs(a.accepting.length * size);
  open.add(a.initial * size + b.initial, -1, -1);
  let found = -1;
  let aAlone = false;
  let bAlone = false;
  let paid = 0;

  for (let at = 0; at < open.length; at++) {
    const pair = open.pair(at);
    const left = Math.floor(pair / size);
    const right = pair % size;
    const aAccepts = a.accepting[left] === 1;
    const bAccepts = b.accepting[right] === 1;
    if (aAccepts && bAccepts) {
      if (found === -1) found = at;
    } else if (aAccepts) aAlone = true;
    else if (bAccepts) bAlone = true;
    if (found !== -1 && aAlone && bAlone) break;

    for (let i = 0; i < codes.length; i++) {
      const aNext = a.next[left * a.width + (aColumns[i] as number)] as number;
      const bNext = b.next[right * b.width + (bColumns[i] as number)] as number;
      if (aNext === -1) {
        if (bNext !== -1) bAlone = true;
      } else if (bNext === -1) aAlone = true;
      else open.add(aNext * size + bNext, at, i);
    }
    if (open.length > MAX_PAIRS) {
      budget.spend(open.length - paid);
      return { relation: 'undecided' };
    }
    if (open.length - paid > PACE) {
      budget.spend(open.length - paid);
      paid = open.length;
    }
  }
  budget.spend(open.length - paid);

  if (found === -1) return { relation: 'disjoint' };
  let witness = '';
  for (let at = found; open.parent(at) !== -1; at = open.parent(at)) {
    witness = String.fromCharCode(codes[open.step(at)] as number) + witness;
  }
  return { relation: aAlone ? (bAlone ? 'partial' : 'b-in-a') : bAlone ? 'a-in-b' : 'equal', witness };
}

/** The number of pairs of states that are visited between two checks of the budget. */
const PACE = 65_536;

/**
 * The pairs of states that a walk has reached, in order and without duplicates. They are in flat tables
 * outside the heap. A set of a million numbers would grow by doubling, and the heap limit of a worker cannot
 * refuse such a large allocation cleanly.
 */
class Pairs {
  /** One bit for each possible pair. */
  readonly #seen: Uint8Array;
  #pairs = new Int32Array(256);
  #parents = new Int32Array(256);
  #steps = new Uint8Array(256);
  length = 0;

  /** @param pairs the number of possible pairs */
  constructor(pairs: number) {
    this.#seen = new Uint8Array((pairs >> 3) + 1);
  }

  /**
   * Adds a pair, unless the walk has reached it before.
   *
   * @param parent the index of the pair that the walk came from; -1 for none
   * @param step the index of the code that led here
   */
  add(pair: number, parent: number, step: number): void {
    const bit = 1 << (pair & 7);
    const byte = this.#seen[pair >> 3] as number;
    if ((byte & bit) !== 0) return;
    this.#seen[pair >> 3] = byte | bit;
    if (this.length === this.#pairs.length) this.#grow();
    this.#pairs[this.length] = pair;
    this.#parents[this.length] = parent;
    this.#steps[this.length] = step;
    this.length++;
  }

  pair(at: number): number {
    return this.#pairs[at] as number;
  }

  parent(at: number): number {
    return this.#parents[at] as number;
  }

  step(at: number): number {
    return this.#steps[at] as number;
  }

  #grow(): void {
    const size = this.#pairs.length * 2;
    const pairs = new Int32Array(size);
    const parents = new Int32Array(size);
    const steps = new Uint8Array(size);
    pairs.set(this.#pairs);
    parents.set(this.#parents);
    steps.set(this.#steps);
    [this.#pairs, this.#parents, this.#steps] = [pairs, parents, steps];
  }
}
