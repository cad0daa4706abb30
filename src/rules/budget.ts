import { getHeapStatistics } from 'node:v8';
import { resourceLimits } from 'node:worker_threads';
import type { Position } from '../document/finding.js';

/** The limits of analyses and proofs. `spend` and `gaveUp` throw LoadLimitExceeded once a limit is reached. */
export interface AnalysisBudget {
  /** Counts states of automata that were visited. */
  spend(states: number): void;
  /** Counts a pattern whose analysis reached its time limit without a result. */
  gaveUp(): void;
  /** Milliseconds left for the whole load. */
  readonly timeLeft: number;
}

/** No limits: for callers that ask about one or two patterns. Each single analysis has limits of its own. */
export const UNLIMITED: AnalysisBudget = { spend() {}, gaveUp() {}, timeLeft: Number.POSITIVE_INFINITY };

/** The current work item while rules are loaded. */
export interface WorkItem {
  /** The kind of work: `reading files`, `compiling rules`, `comparing rules`. */
  readonly what: string;
  readonly done: number;
  readonly of: number;
  /** The file or the rule that is being worked on. */
  readonly name: string;
  readonly at: Position;
}

/** A work item and how long it took. */
export interface TimedItem extends WorkItem {
  /** Milliseconds. */
  readonly ms: number;
}

/** A rule set exceeds a limit of loading. */
export class LoadLimitExceeded extends Error {
  /** The position of the work when the limit was reached. */
  readonly at: Position;

  constructor(at: Position, message: string) {
    super(message);
    this.name = 'LoadLimitExceeded';
    this.at = at;
  }
}

/**
 * The most states that proofs may visit: a number for any set, and a number for each of its rules. An honest
 * set needs a thousandth of that.
 */
const STATES = 10_000_000;
const STATES_PER_RULE = 50_000;
/** The most patterns whose analysis may end without a result. Each one takes seconds. */
const GIVEN_UP = 3;
/**
 * The share of the heap limit that may be in use. The rest is left for single large allocations, such as the
 * text of a file.
 */
const HEAP_SHARE = 0.9;
/** Time and heap are checked after this many items, and after this many states. */
const PACE = 64;
const STATES_PACE = 65_536;

const NOWHERE: WorkItem = { what: '', done: 0, of: 0, name: '', at: { file: 'rules', line: 1, col: 1 } };

/** Options of a budget. All of them have defaults. */
export interface LoadBudgetOptions {
  /** Called with each item before the work on it begins, and with the previous item that took longest. */
  readonly begun?: (item: WorkItem, longest: TimedItem | undefined) => void;
  /** The most states of automata, independent of the number of rules. */
  readonly states?: number;
  /** Milliseconds for the whole load; by default there is no limit. */
  readonly timeout?: number;
  /** Returns the current time in milliseconds. */
  readonly now?: () => number;
}

/**
 * The limits of loading one rule set: time, states of automata, and memory of the thread. It also knows the
 * current work item, so that a finding can name the rule that exceeded a limit.
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
  /** The states that the current item has used. */
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
   * Sets the current work item.
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

  /** Raises the limit of states for additional rules. */
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
      const message = `the overlap analysis needs more than ${limit} states of automata; ${item.name} needs the most, ${most}: simplify its path`;
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
    const message = `${GIVEN_UP} patterns could not be analysed in the time that one may take, and no more are tried; the last is of ${name}: simplify its path`;
    throw new LoadLimitExceeded(at, message);
  }

  /**
   * Checks that there is memory before it is allocated. If a thread's heap becomes full during one large
   * allocation, the whole process ends, even if the thread has a limit of its own. It checks the time too.
   *
   * @param bytes the approximate size of the allocation
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

/** The message that loading took too long. */
export function timeProblem(timeout: number, where: string): string {
  return `loading the rules takes longer than reload.timeout (${timeout / 1000} s): ${where}`;
}

/** The message that loading needs too much memory. */
export function memoryProblem(mebibytes: number, where: string): string {
  return `the rules need more than the ${mebibytes} MiB of memory that loading may use: ${where}`;
}

/**
 * Describes the work at that moment: `it was comparing rules, at /x (rules.yaml:3:7), for 4.0 s; before that
 * …`.
 */
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
