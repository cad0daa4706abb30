import type { AST } from '@eslint-community/regexpp';
import { PATH_CODES } from './alphabet.js';
import { charactersOf } from './syntax.js';

/** The most ways to read a beginning of a path with which a pattern still counts as linear. */
const MAX_WAYS = 32;
const MAX_STATES = 1_000;
const MAX_POSITIONS = 1_000;
/**
 * Repetitions up to this number are written out, and greater ones are folded into a loop. The second attempt
 * writes out all of them.
 */
const MAX_COPIES = 16;

/**
 * Whether a backtracking engine provably matches this pattern in linear time. False only means that it is not
 * proved.
 *
 * The argument: a backtracking engine tries each way to read a beginning of the path at most once. The ways
 * are the runs of the pattern's position automaton (Glushkov 1961), counted with multiplicity: two ways to
 * take the same step are two runs. If the number of runs is bounded by a constant for every beginning of
 * every path, the time is linear. A subset construction whose states carry the counts counts the runs. If it
 * finishes within its limits, that is a proof.
 *
 * - A repetition with a high count is treated as a loop, which has at least as many runs, because its body
 *   cannot be empty.
 * - A loop whose body can be empty is not judged.
 * - `^`, `$` and `\b` can only end runs early, so they are ignored. A lookahead before any loop adds its own
 *   runs, once. Other lookaround and backreferences are not judged.
 * - If all continuations of a run match any text up to the end (`.*` at the end of a pattern), the engine
 *   enters them once and never backtracks; runs inside are not counted.
 */
export function isProvablyLinear(pattern: Pick<AST.Pattern, 'alternatives'>, ignoreCase: boolean): boolean {
  return [MAX_COPIES, MAX_POSITIONS].some((copies) => {
    const automaton = new Positions(ignoreCase, copies);
    const whole = automaton.build(pattern.alternatives);
    return whole !== undefined && hasBoundedRuns(automaton, whole);
  });
}

/** Positions, with the number of ways to reach each of them. */
type Ways = Map<number, number>;

interface Piece {
  /** The number of ways to match the empty text. */
  readonly empty: number;
  readonly first: Ways;
  readonly last: Ways;
}

const NOTHING: Piece = { empty: 1, first: new Map(), last: new Map() };

class Positions {
  readonly #ignoreCase: boolean;
  readonly #maxCopies: number;
  /** By position: the characters that it consumes. */
  readonly characters: ReadonlySet<number>[] = [];
  /** By position: the positions that can follow. */
  readonly follow: Ways[] = [];
  asserts = false;
  /** Whether a repetition comes before the current part of the pattern, or contains it. */
  #looped = false;

  /** @param maxCopies repetitions up to this number are written out */
  constructor(ignoreCase: boolean, maxCopies: number) {
    this.#ignoreCase = ignoreCase;
    this.#maxCopies = maxCopies;
  }

  /** Builds the positions of a pattern; returns undefined if the pattern is not judged. */
  build(alternatives: readonly AST.Alternative[]): Piece | undefined {
    let empty = 0;
    const first: Ways = new Map();
    const last: Ways = new Map();
    for (const alternative of alternatives) {
      const piece = this.#sequence(alternative.elements);
      if (piece === undefined) return undefined;
      empty += piece.empty;
      addAll(first, piece.first, 1);
      addAll(last, piece.last, 1);
    }
    return { empty, first, last };
  }

  #sequence(elements: readonly AST.Element[]): Piece | undefined {
    let whole: Piece = NOTHING;
    for (const element of elements) {
      const piece = this.#element(element);
      if (piece === undefined) return undefined;
      this.#link(whole.last, piece.first);
      const first = new Map(whole.first);
      addAll(first, piece.first, whole.empty);
      const last = new Map(piece.last);
      addAll(last, whole.last, piece.empty);
      whole = { empty: Math.min(whole.empty * piece.empty, 1_000_000), first, last };
    }
    return whole;
  }

  #element(element: AST.Element): Piece | undefined {
    switch (element.type) {
      case 'Character':
      case 'CharacterSet':
      case 'CharacterClass': {
        const position = this.characters.length;
        if (position >= MAX_POSITIONS) return undefined;
        this.characters.push(charactersOf(element, this.#ignoreCase));
        this.follow.push(new Map());
        return { empty: 0, first: new Map([[position, 1]]), last: new Map([[position, 1]]) };
      }
      case 'Group':
      case 'CapturingGroup':
        return this.build(element.alternatives);
      case 'Assertion':
        this.asserts = true;
        return element.kind === 'lookbehind' || (element.kind === 'lookahead' && !this.#looksOnce(element))
          ? undefined
          : NOTHING;
      case 'Quantifier':
        return this.#repetition(element);
      default:
        return undefined;
    }
  }

  /** Whether runs reach a lookahead at only one place of the path, and the lookahead itself is linear. */
  #looksOnce({ alternatives }: AST.LookaheadAssertion): boolean {
    return !this.#looped && isProvablyLinear({ alternatives }, this.#ignoreCase);
  }

  #repetition({ min, max, element }: AST.Quantifier): Piece | undefined {
    if (max === 0) return NOTHING;
    this.#looped ||= max > 1;
    const body = this.#element(element);
    if (body === undefined) return undefined;
    const empty = min === 0 ? body.empty + 1 : body.empty;
    if (max === 1) return { ...body, empty };
    if (body.empty > 0) return undefined;
    if (max > this.#maxCopies) {
      this.#link(body.last, body.first);
      return { ...body, empty };
    }
    const last: Ways = new Map(min <= 1 ? body.last : []);
    let previous = body;
    for (let copies = 2; copies <= max; copies++) {
      const copy = this.#element(element);
      if (copy === undefined) return undefined;
      this.#link(previous.last, copy.first);
      if (copies >= min) addAll(last, copy.last, 1);
      previous = copy;
    }
    return { empty, first: body.first, last };
  }

  #link(from: Ways, to: Ways): void {
    for (const [position, ways] of from) addAll(this.follow[position] as Ways, to, ways);
  }
}

function addAll(target: Ways, source: Ways, times: number): void {
  if (times === 0) return;
  for (const [position, ways] of source) target.set(position, (target.get(position) ?? 0) + ways * times);
}

function hasBoundedRuns(automaton: Positions, whole: Piece): boolean {
  const { characters, follow } = automaton;
  if (isDeterministic(automaton, whole)) return true;
  const settled = automaton.asserts ? new Set<number>() : settledPositions(automaton, whole.last);
  const letters = representatives(characters);
  const seen = new Set<string>();
  const open: Ways[] = [];

  /** Adds the runs of `next` to the work; returns false if there are too many. */
  const take = (next: Ways): boolean => {
    let total = 0;
    for (const ways of next.values()) total += ways;
    if (total > MAX_WAYS) return false;
    if (total === 0) return true;
    const key = [...next]
      .sort((a, b) => a[0] - b[0])
      .map(([position, ways]) => `${position}x${ways}`)
      .join();
    if (seen.has(key)) return true;
    seen.add(key);
    open.push(next);
    return seen.size <= MAX_STATES;
  };
  const step = (candidates: Ways, ways: number, code: number, next: Ways): void => {
    for (const [position, multiplicity] of candidates) {
      if (settled.has(position) || !(characters[position] as ReadonlySet<number>).has(code)) continue;
      next.set(position, (next.get(position) ?? 0) + ways * multiplicity);
    }
  };

  for (const code of letters) {
    const next: Ways = new Map();
    step(whole.first, 1, code, next);
    if (!take(next)) return false;
  }
  for (let current = open.pop(); current !== undefined; current = open.pop()) {
    for (const code of letters) {
      const next: Ways = new Map();
      for (const [position, ways] of current) step(follow[position] as Ways, ways, code, next);
      if (!take(next)) return false;
    }
  }
  return true;
}

/** A cheap check for the common case: no character ever has two ways to go, so there is only one run. */
function isDeterministic({ characters, follow }: Positions, { first }: Piece): boolean {
  return [first, ...follow].every((ways) => {
    const taken = new Set<number>();
    for (const [position, multiplicity] of ways) {
      if (multiplicity > 1) return false;
      if (ways.size === 1) return true;
      for (const code of characters[position] as ReadonlySet<number>) {
        if (taken.has(code)) return false;
        taken.add(code);
      }
    }
    return true;
  });
}

/**
 * The positions from which every continuation matches: each one accepts, and every path character leads to
 * another such position.
 */
function settledPositions({ characters, follow }: Positions, last: Ways): Set<number> {
  const settled = new Set(last.keys());
  for (let shrunk = true; shrunk; ) {
    shrunk = false;
    for (const position of settled) {
      const next = [...(follow[position] as Ways).keys()];
      const closed = next.every((to) => settled.has(to));
      if (closed && PATH_CODES.every((code) => next.some((to) => characters[to]?.has(code)))) continue;
      settled.delete(position);
      shrunk = true;
    }
  }
  return settled;
}

/** One character for each class of characters that no position distinguishes. */
function representatives(characters: readonly ReadonlySet<number>[]): number[] {
  const distinct = [...new Set(characters)];
  const found = new Map<string, number>();
  for (const code of PATH_CODES) {
    const signature = distinct.map((set) => (set.has(code) ? '1' : '0')).join('');
    if (!found.has(signature)) found.set(signature, code);
  }
  return [...found.values()];
}
