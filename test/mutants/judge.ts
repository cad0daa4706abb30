import { apply, type Mutant } from './mutate.js';
import type { Sandbox } from './sandbox.js';

/** What the tests say about a mutant. */
export type Verdict =
  /** A test failed. */
  | 'killed'
  /** A test did not end in time, and needs at most a third of that time without the mutant. */
  | 'timeout'
  /** Every test passed. */
  | 'survived';

/** What the tests say about a mutant, and which of them. */
export interface Judgement {
  readonly verdict: Verdict;
  /** The test file that killed it, below `test/`, without its ending. */
  readonly by?: string;
  /** What failed. */
  readonly failure?: string;
}

/** The least time limit of a test file, in milliseconds, and how many times its own time it may take. */
const LEAST_LIMIT = 15_000;
const TIMES = 4;
/** The time limit of a test file without a mutant, in milliseconds. */
const LONGEST = 300_000;
/** How often a test is tried that is late because the machine is slow, or that fails without a mutant. */
const ROUNDS = 3;

/** Tries mutants, one after the other, in one sandbox. */
export class Judge {
  readonly #sandbox: Sandbox;
  /** Whether a test must fail twice: on a busy machine a test may fail without a reason. */
  readonly #twice: boolean;
  readonly #times: Map<string, number>;

  /** @param times how long each test file takes without a mutant, in milliseconds; what is measured is added */
  constructor(sandbox: Sandbox, twice: boolean, times: Map<string, number>) {
    this.#sandbox = sandbox;
    this.#twice = twice;
    this.#times = times;
  }

  /**
   * Runs the tests of a source file, one after the other, until one kills the mutant.
   *
   * @param text the source, without the mutant
   * @param tests below `test/`, without their ending
   * @throws if a test fails without a mutant
   */
  async judge(mutant: Mutant, text: string, tests: readonly string[]): Promise<Judgement> {
    try {
      for (const test of tests) {
        const judgement = await this.#try(mutant, text, test);
        if (judgement !== undefined) return judgement;
      }
      return { verdict: 'survived' };
    } finally {
      this.#sandbox.put(mutant.file, text);
    }
  }

  async #try(mutant: Mutant, text: string, test: string): Promise<Judgement | undefined> {
    let time = this.#times.get(test) ?? (await this.#measure(mutant, text, test));
    for (let round = 0; round < ROUNDS; round++) {
      const limit = Math.max(LEAST_LIMIT, TIMES * time);
      this.#sandbox.put(mutant.file, apply(text, mutant));
      const { ending, failure = '' } = await this.#sandbox.run(test, limit);
      if (ending === 'passed') return undefined;
      if (ending === 'failed') {
        const again = this.#twice ? await this.#sandbox.run(test, limit) : undefined;
        return again?.ending === 'passed' ? undefined : { verdict: 'killed', by: test, failure };
      }
      // Either the mutant loops or the machine is slow.
      time = await this.#measure(mutant, text, test);
      if (time <= limit / 3) return { verdict: 'timeout', by: test };
    }
    return undefined;
  }

  /** @returns how many milliseconds a test takes without the mutant */
  async #measure({ file }: Mutant, text: string, test: string): Promise<number> {
    this.#sandbox.put(file, text);
    let failure: string | undefined;
    for (let round = 0; round < ROUNDS; round++) {
      const run = await this.#sandbox.run(test, LONGEST);
      if (run.ending === 'passed') {
        this.#times.set(test, run.ms);
        return run.ms;
      }
      failure = run.failure ?? run.ending;
    }
    throw new Error(`${test} fails without a mutant: ${failure}`);
  }
}
