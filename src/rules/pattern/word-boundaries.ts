import type { AST } from '@eslint-community/regexpp';
import { wordBoundariesOf } from './syntax.js';

/**
 * The most word boundaries of a pattern, with its counted repetitions written out. V8 needs twice the time and
 * memory to compile it for each one that follows another: 12 s and 200 MB for 18, and for 30, the process ends.
 */
const MAX_WORD_BOUNDARIES = 8;

/**
 * Says what is wrong with a pattern that V8 cannot compile in reasonable time. Ask before the pattern is first
 * matched: that is when V8 compiles it.
 *
 * @param pattern its syntax tree
 * @returns undefined if nothing is wrong
 */
export function wordBoundaryProblem({ alternatives }: AST.Pattern): string | undefined {
  return wordBoundariesOf(alternatives) > MAX_WORD_BOUNDARIES
    ? `has more than ${MAX_WORD_BOUNDARIES} word boundaries (\\b, \\B) when its repetitions are expanded`
    : undefined;
}
