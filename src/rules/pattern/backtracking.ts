import type { AST } from '@eslint-community/regexpp';
import { LRUCache } from 'lru-cache';
import type * as Recheck from 'recheck';
import { lazyRequire, MissingPackageError } from '../../model/lazy-require.js';
import { type AnalysisBudget, UNLIMITED } from '../budget.js';
import { isProvablyLinear } from './ambiguity.js';
import type { Attack } from './attack.js';

/**
 * The build of `recheck` that runs in this process, without a worker or a child, which the main entry would start. It
 * is 3 MB of JavaScript.
 */
const recheck = lazyRequire<Pick<typeof Recheck, 'checkSync'>>('recheck/lib/browser.js');

/** How a pattern behaves in a backtracking engine. */
export type Backtracking =
  | { readonly verdict: 'linear' }
  | {
      readonly verdict: 'super-linear';
      /** `exponential`, `2nd degree polynomial`. */
      readonly complexity: string;
      /** A text that shows it, as a JavaScript expression. */
      readonly attack: string;
      /** The same in its parts. */
      readonly parts: Attack;
    }
  | { readonly verdict: 'unknown'; readonly reason: string };

/**
 * The longest that one pattern is analysed, in milliseconds: what takes longer is refused. A text is an attack where
 * matching it reads so many characters, and only there. The library would also take one for an attack that just takes
 * a second, which says as much about the machine as about the pattern, and the texts that its own limit asks for take
 * a good part of that.
 */
const LIMITS = { timeout: 10_000, attackLimit: 1_000_000, attackTimeout: null };

/**
 * Whether matching takes time linear in the length of the path.
 *
 * Nearly all patterns people write are proved in microseconds by {@link isProvablyLinear}; the rest goes to `recheck`,
 * which finds the attack; that takes some ten milliseconds a pattern, and a second where it has to search.
 *
 * @param pattern the compiled, anchored pattern
 * @param syntax the same without its anchors
 * @param budget told where nothing is found out
 */
export function backtrackingOf(
  pattern: RegExp,
  syntax: AST.Pattern,
  budget: AnalysisBudget = UNLIMITED,
): Backtracking {
  return isProvablyLinear(syntax, pattern.ignoreCase) ? { verdict: 'linear' } : behaviourOf(pattern, budget);
}

/** What analyses have found out, by pattern: plain data, for other threads. */
export type KnownBehaviours = readonly (readonly [pattern: string, behaviour: Backtracking])[];

/** Analyses are worth keeping over a reload, in which most patterns are the same. */
const known = new LRUCache<string, Backtracking>({ max: 20_000 });

/** What is known so far; without what an analysis did not find out in its time. */
export function knownBehaviours(): KnownBehaviours {
  return [...known.entries()];
}

/** Takes what another thread has found out. */
export function learnBehaviours(behaviours: KnownBehaviours): void {
  for (const [pattern, behaviour] of behaviours) known.set(pattern, behaviour);
}

/** The same of a pattern that is held against any text, not only paths, wherever in it. */
export function behaviourOf(pattern: RegExp, budget: AnalysisBudget = UNLIMITED): Backtracking {
  const key = String(pattern);
  const before = known.get(key);
  if (before !== undefined) return before;
  const behaviour = analyse(pattern, Math.min(LIMITS.timeout, Math.max(1, budget.timeLeft)));
  if (behaviour.verdict === 'unknown') budget.gaveUp();
  else known.set(key, behaviour);
  return behaviour;
}

function analyse(pattern: RegExp, timeout: number): Backtracking {
  let checkSync: typeof Recheck.checkSync;
  try {
    ({ checkSync } = recheck());
  } catch (error) {
    // A pattern that nothing can analyse is refused, with its place; all others of the rule set are judged.
    if (error instanceof MissingPackageError) return { verdict: 'unknown', reason: error.message };
    throw error;
  }
  const result = checkSync(pattern.source, pattern.flags, { ...LIMITS, timeout });
  switch (result.status) {
    case 'safe':
      return { verdict: 'linear' };
    case 'vulnerable':
      return {
        verdict: 'super-linear',
        complexity: result.complexity.summary,
        attack: result.attack.pattern,
        parts: {
          pumps: result.attack.pumps.map(({ prefix, pump }) => ({ prefix, pump })),
          suffix: result.attack.suffix,
          base: result.attack.base,
        },
      };
    default:
      return {
        verdict: 'unknown',
        reason: result.error.kind === 'timeout' ? 'the analysis timed out' : 'the analysis failed',
      };
  }
}
