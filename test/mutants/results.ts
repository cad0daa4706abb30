import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root } from '../root.js';
import type { Judgement } from './judge.js';
import type { Mutant } from './mutate.js';

/** One line of the file of results. */
interface Kept extends Judgement {
  readonly id: string;
  /** A hash of what the result depends on. */
  readonly state: string;
}

/**
 * The results of earlier runs, so that a run can go on where another one was stopped. A result counts as long as the source
 * file is the same, and so are the built tests that it depends on.
 */
export class Results {
  readonly #file: string;
  readonly #kept = new Map<string, Kept>();

  /** @param file where they are kept; it is created when needed */
  constructor(file = join(root, 'build/mutants.jsonl')) {
    this.#file = file;
    if (!existsSync(file)) return;
    for (const line of readFileSync(file, 'utf8').split('\n')) {
      if (line === '') continue;
      const kept = JSON.parse(line) as Kept;
      this.#kept.set(kept.id, kept);
    }
  }

  /**
   * Looks up the result for a mutant.
   *
   * @param text the source without it
   * @param tests that are tried on it
   */
  find({ id }: Mutant, text: string, tests: readonly string[]): Judgement | undefined {
    const kept = this.#kept.get(id);
    if (kept === undefined || kept.state !== stateOf(text, dependsOn(kept, tests))) return undefined;
    return kept;
  }

  /** Keeps a result. */
  keep({ id }: Mutant, text: string, tests: readonly string[], judgement: Judgement): void {
    const kept: Kept = { id, ...judgement, state: stateOf(text, dependsOn(judgement, tests)) };
    this.#kept.set(id, kept);
    mkdirSync(dirname(this.#file), { recursive: true });
    appendFileSync(this.#file, `${JSON.stringify(kept)}\n`);
  }
}

/** A mutant that was killed depends on the test that killed it, a survivor on all tests. */
function dependsOn({ by }: Judgement, tests: readonly string[]): readonly string[] {
  return by === undefined ? tests : [by];
}

function stateOf(text: string, tests: readonly string[]): string {
  const hash = createHash('sha256').update(text);
  for (const test of tests)
    hash.update(test).update(readFileSync(join(root, 'build/test', `${test}.test.js`)));
  return hash.digest('base64');
}
