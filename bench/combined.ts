import type { Rule } from '../src/model/rule.js';
import { type Automaton, automatonOf, automatonOfLiteral } from '../src/rules/pattern/automaton.js';
import { shapeOf, unwrap } from '../src/rules/pattern/syntax.js';

/**
 * The design that was not taken, to measure the one that was against: all rules of a host and method in one
 * deterministic automaton, whose states are built when a path first needs them, at most so many at a time (RE2 does
 * this). A state is the set of rules still alive, each with the state of its own automaton.
 */
export class Combined {
  readonly #rules: readonly Rule[];
  readonly #automata: readonly Automaton[];
  readonly #states = new Map<string, State>();
  #start: State;
  /** How many states have been built, and how often all were thrown away. */
  built = 0;
  flushes = 0;
  readonly #limit: number;

  constructor(rules: readonly Rule[], limit: number) {
    this.#rules = rules;
    this.#limit = limit;
    this.#automata = rules.map(({ pattern }) => {
      const { literal, prefix } = shapeOf(pattern);
      const automaton = literal ? automatonOfLiteral(prefix) : automatonOf(unwrap(pattern), pattern.flags);
      if (automaton === undefined) throw new Error(`${pattern} is too large`);
      return automaton;
    });
    this.#start = this.#state(rules.map((_, i) => [i, 0]));
  }

  find(path: string): Rule | undefined {
    let state = this.#start;
    for (let i = 0; i < path.length; i++) {
      const code = path.charCodeAt(i) & 127;
      let next = state.next[code];
      if (next === undefined) {
        next = this.#step(state, code);
        state.next[code] = next;
      }
      if (next.live.length === 0) return undefined;
      state = next;
    }
    return state.rule;
  }

  #step({ live }: State, code: number): State {
    const next: [number, number][] = [];
    for (const [i, at] of live) {
      const { next: table, width, columns } = this.#automata[i] as Automaton;
      const to = table[at * width + (columns[code] as number)] as number;
      if (to !== -1) next.push([i, to]);
    }
    return this.#state(next);
  }

  #state(live: readonly (readonly [number, number])[]): State {
    const key = live.map(([i, at]) => `${i}.${at}`).join();
    let state = this.#states.get(key);
    if (state !== undefined) return state;
    if (this.#states.size >= this.#limit) {
      this.#states.clear();
      this.flushes++;
      this.#start = { live: this.#rules.map((_, i) => [i, 0]), next: new Array(128), rule: undefined };
    }
    const accepting = live.find(([i, at]) => this.#automata[i]?.accepting[at] === 1);
    state = { live, next: new Array(128), rule: accepting && this.#rules[accepting[0]] };
    this.#states.set(key, state);
    this.built++;
    return state;
  }
}

interface State {
  readonly live: readonly (readonly [rule: number, state: number])[];
  readonly next: (State | undefined)[];
  readonly rule: Rule | undefined;
}
