import type { AST } from '@eslint-community/regexpp';
import { parse } from '../../../src/rules/pattern/syntax.js';

/**
 * Matches as a backtracking engine does (ECMA-262 §22.2.2), one way after the other, and counts the characters it
 * consumes on all of them: what an engine's time is made of.
 *
 * @param limit to stop at
 */
export function countSteps(source: string, text: string, limit: number): number {
  const { alternatives } = parse(source);
  let steps = 0;
  const sets = new Map<AST.Element, RegExp>();

  type Next = (at: number) => boolean;
  const choice = (all: readonly AST.Alternative[], at: number, next: Next): boolean =>
    all.some(({ elements }) => sequence(elements, 0, at, next));
  const sequence = (elements: readonly AST.Element[], i: number, at: number, next: Next): boolean => {
    const element = elements[i];
    return element === undefined ? next(at) : one(element, at, (to) => sequence(elements, i + 1, to, next));
  };
  const one = (element: AST.Element, at: number, next: Next): boolean => {
    if (steps >= limit) return true;
    switch (element.type) {
      case 'Group':
      case 'CapturingGroup':
        return choice(element.alternatives, at, next);
      case 'Quantifier':
        return repeat(element, 0, at, next);
      case 'Character':
      case 'CharacterSet':
      case 'CharacterClass': {
        let set = sets.get(element);
        if (set === undefined) {
          set = new RegExp(`^${element.raw}$`);
          sets.set(element, set);
        }
        if (at >= text.length || !set.test(text[at] as string)) return false;
        steps++;
        return next(at + 1);
      }
      default:
        throw new Error(`not in the fragment: ${element.raw}`);
    }
  };
  const repeat = (quantifier: AST.Quantifier, done: number, at: number, next: Next): boolean => {
    const { min, max, greedy, element } = quantifier;
    const more = () =>
      done < max &&
      one(element, at, (to) => (to === at && done >= min ? false : repeat(quantifier, done + 1, to, next)));
    if (done < min) return more();
    return greedy ? more() || next(at) : next(at) || more();
  };
  choice(alternatives, 0, (at) => at === text.length);
  return steps;
}
