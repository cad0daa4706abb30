import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../root.js';
import { EXPLAINED } from './explained.js';
import { type Mutant, mutantsOf } from './mutate.js';
import { SOURCES } from './sources.js';

/** Another seed picks other mutants. */
const SEED = 'scopegate';
/** One in so many of the picked mutants, and at least one of each file, is in the sample that the slow checks try. */
const SAMPLE = 60;

/** The mutants of one source file that are tried. */
export interface Picked {
  /** Below `src/`. */
  readonly file: string;
  readonly text: string;
  /** Test files below `test/`, without their ending, nearest first. */
  readonly tests: readonly string[];
  /** All mutants of the file. */
  readonly all: readonly Mutant[];
  readonly mutants: readonly Mutant[];
}

/**
 * Picks mutants of every source file by a hash of their identifiers, so that a change in one place does not pick others
 * elsewhere.
 *
 * @param sample picks only the sample, which has no explained mutants
 */
export function pick(sample = false): Picked[] {
  return SOURCES.map(({ file, share, tests }) => {
    const text = readFileSync(join(root, 'src', file), 'utf8');
    const all = mutantsOf(file, text);
    const ranked = all
      .map((mutant) => ({
        mutant,
        rank: createHash('sha256')
          .update(SEED + mutant.id)
          .digest('hex'),
      }))
      .sort((a, b) => (a.rank < b.rank ? -1 : 1))
      .map(({ mutant }) => mutant)
      .slice(0, share);
    const mutants = sample
      ? ranked.filter(({ id }) => !EXPLAINED.has(id)).slice(0, Math.ceil(ranked.length / SAMPLE))
      : ranked;
    return { file, text, tests, all, mutants };
  });
}
