import { getHeapStatistics } from 'node:v8';
import { resourceLimits } from 'node:worker_threads';
import type { Position } from '../document/finding.js';

/** What analyses and proofs may use. `spend` and `gaveUp` throw LoadLimitExceeded when it is used up. */
export interface AnalysisBudget {
  /** So many states of automata were looked at. */
  spend(states: number): void;
  /** A pattern was analysed for as long as one may be, and nothing was found out about it. */
  gaveUp(): void;
  /** Milliseconds that are left for all of it. */
  readonly timeLeft: number;
}

/** For whoever asks about one or two patterns: one question has bounds of its own. */
export const UNLIMITED: AnalysisBudget = { spend() {}, gaveUp() {}, timeLeft: Number.POSITIVE_INFINITY };

/** What is being worked on while rules are loaded. */
export interface WorkItem {
  /** What is done: `reading files`, `compiling rules`, `comparing rules`. */
  readonly what: string;
  readonly done: number;
  readonly of: number;
  /** The file or the rule that it is done with. */
  readonly name: string;
  readonly at: Position;
}

/** An item of work, and how long it took. */
export interface TimedItem extends WorkItem {
  /** Milliseconds. */
  readonly ms: number;
}

/** A rule set needs more than it may use. */
export class LoadLimitExceeded extends Error {
  /** Where the work was when it ended. */
  readonly at: Position;

  constructor(at: Position, message: string) {
    super(message);
    this.name = 'LoadLimitExceeded';
    this.at = at;
  }
}

/** States that proofs may look at in any set, and for each rule in it: an honest set needs a thousandth of that. */
const STATES = 10_000_000;
const STATES_PER_RULE = 50_000;
/** Patterns that are analysed in vain; each takes seconds. */
const GIVEN_UP = 3;
/** The part of the heap's limit that may be in use. What is allocated at once, such as a file's text, needs the rest. */
const HEAP_SHARE = 0.9;
/** Time and heap are looked at after so many items, and after so many states. */
const PACE = 64;
const STATES_PACE = 65_536;

const NOWHERE: WorkItem = { what: '', done: 0, of: 0, name: '', at: { file: 'rules', line: 1, col: 1 } };

/** What a budget is made with; everything has a default. */
export interface LoadBudgetOptions {
  /** Told of each item before the work on it begins, and which one before it took longest. */
  readonly begun?: (item: WorkItem, longest: TimedItem | undefined) => void;
  /** States of automata, whatever the number of rules is. */
  readonly states?: number;
  /** Milliseconds for all of it; default: as long as it takes. */
  readonly timeout?: number;
  /** Milliseconds. */
  readonly now?: () => number;
}

/**
 * What loading one rule set may use: time, states of automata, and memory of the thread that it runs on. It also knows
 * what is being worked on, so that a finding can name the rule that took it.
 */
export class LoadBudget implements AnalysisBudget {
  readonly #begun: (item: WorkItem, longest: TimedItem | undefined) => void;
  readonly #now: () => number;
  readonly #limit: number | undefined;
  readonly #timeout: number;
  readonly #started: number;
  #item = NOWHERE;
  #since = 0;
  #items = 0;
  #rules = 0;
  #states = 0;
  #givenUp = 0;
  /** Of the item. */
  #itemStates = 0;
  #longest: TimedItem | undefined;
  #mostStates: { readonly item: WorkItem; readonly states: number } = { item: NOWHERE, states: 0 };
  #unlooked = 0;

  constructor({ begun, states, timeout, now = () => performance.now() }: LoadBudgetOptions = {}) {
    this.#begun = begun ?? (() => {});
    this.#limit = states;
    this.#timeout = timeout ?? Number.POSITIVE_INFINITY;
    this.#now = now;
    this.#started = now();
  }

  /**
   * Says what is worked on from now on.
   *
   * @throws LoadLimitExceeded
   */
  begin(item: WorkItem): void {
    const now = this.#now();
    this.#requireTime(now);
    const ms = now - this.#since;
    if (this.#item !== NOWHERE && ms > (this.#longest?.ms ?? 0)) this.#longest = { ...this.#item, ms };
    this.#since = now;
    this.#item = item;
    this.#itemStates = 0;
    if (++this.#items % PACE === 0) this.reserve(0);
    this.#begun(item, this.#longest);
  }

  /** There are so many more rules, each of which may use its share. */
  grant(rules: number): void {
    this.#rules += rules;
  }

  get timeLeft(): number {
    return this.#started + this.#timeout - this.#now();
  }

  spend(states: number): void {
    this.#states += states;
    this.#itemStates += states;
    if (this.#itemStates > this.#mostStates.states) {
      this.#mostStates = { item: this.#item, states: this.#itemStates };
    }
    const limit = this.#limit ?? STATES + this.#rules * STATES_PER_RULE;
    if (this.#states > limit) {
      const { item, states: most } = this.#mostStates;
      const message = `proving how the rules overlap takes more than ${limit} states of automata; the most, ${most}, are for ${item.name}: simplify its path`;
      throw new LoadLimitExceeded(item.at, message);
    }
    this.#unlooked += states;
    if (this.#unlooked < STATES_PACE) return;
    this.#unlooked = 0;
    this.reserve(0);
  }

  gaveUp(): void {
    this.#requireTime(this.#now());
    if (++this.#givenUp < GIVEN_UP) return;
    const { at, name } = this.#item;
    const message = `${GIVEN_UP} patterns cannot be analysed in the time for one, the last of ${name}: simplify its path; no more patterns are tried`;
    throw new LoadLimitExceeded(at, message);
  }

  /**
   * Asks for memory before it is taken: a thread whose heap is full in the midst of one large allocation ends the whole
   * process, whatever its own limit is. It looks at the time as well.
   *
   * @param bytes about how many, at once
   * @throws LoadLimitExceeded
   */
  reserve(bytes: number): void {
    this.#requireTime(this.#now());
    const { used_heap_size: used, heap_size_limit: limit } = getHeapStatistics();
    if (used + bytes <= limit * HEAP_SHARE) return;
    const { maxOldGenerationSizeMb = Math.round(limit / 2 ** 20) } = resourceLimits;
    throw new LoadLimitExceeded(this.#item.at, memoryProblem(maxOldGenerationSizeMb, this.#whereabouts()));
  }

  #requireTime(now: number): void {
    if (now - this.#started <= this.#timeout) return;
    const place =
      this.#longest !== undefined && this.#longest.ms > now - this.#since ? this.#longest : this.#item;
    throw new LoadLimitExceeded(place.at, timeProblem(this.#timeout, this.#whereabouts()));
  }

  #whereabouts(): string {
    const current = this.#item === NOWHERE ? undefined : { ...this.#item, ms: this.#now() - this.#since };
    return whereabouts(current, this.#longest);
  }
}

/** Says that loading took too long. */
export function timeProblem(timeout: number, where: string): string {
  return `loading the rules takes longer than reload.timeout (${timeout / 1000} s): ${where}`;
}

/** Says that loading needs too much memory. */
export function memoryProblem(mebibytes: number, where: string): string {
  return `the rules need more than the ${mebibytes} MiB of memory that loading may use: ${where}`;
}

/** Says what was worked on: `it was comparing rules, at /x (rules.yaml:3:7), for 4.0 s; before that …`. */
export function whereabouts(current: TimedItem | undefined, longest: TimedItem | undefined): string {
  if (current === undefined) return 'it had not begun';
  const now = `it was ${current.what}, at ${nameOf(current)}, for ${seconds(current.ms)}`;
  return longest === undefined || longest.ms < current.ms
    ? now
    : `${now}; what took longest before that was ${nameOf(longest)}: ${seconds(longest.ms)}`;
}

function nameOf({ name, at }: WorkItem): string {
  const place = `${at.file}:${at.line}:${at.col}`;
  return name === at.file ? place : `${name} at ${place}`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
