import type { AST } from '@eslint-community/regexpp';
import { LRUCache } from 'lru-cache';
import type * as Recheck from 'recheck';
import { lazyRequire, MissingPackageError } from '../../model/lazy-require.js';
import { type AnalysisBudget, UNLIMITED } from '../budget.js';
import { isProvablyLinear } from './ambiguity.js';
import type { Attack } from './attack.js';
import { PATHS, type Texts, widened } from './texts.js';

/**
 * The build of `recheck` that runs in this process. The main entry would start a worker or a child process.
 * It is 3 MB of JavaScript.
 */
const recheck = lazyRequire<Pick<typeof Recheck, 'checkSync'>>('recheck/lib/browser.js');

/** How a pattern behaves in a backtracking engine. */
export type Backtracking =
  | { readonly verdict: 'linear' }
  | SuperLinear
  | { readonly verdict: 'unknown'; readonly reason: string };

/** A pattern that takes more than linear time. */
export interface SuperLinear {
  readonly verdict: 'super-linear';
  /** `exponential`, `2nd degree polynomial`. */
  readonly complexity: string;
  /** A text that makes matching slow, as a JavaScript expression. Absent if no request can have the one found. */
  readonly attack?: string;
  /** The same text in its parts. */
  readonly parts: Attack;
}

/**
 * The limits for analysing one pattern. If the analysis takes longer than `timeout`, in milliseconds, the
 * pattern is refused. A text is an attack only if the engine reads at least `attackLimit` characters to match
 * it. The library would also accept a text that just takes a second (`attackTimeout`). That is off, because
 * it depends on the machine as much as on the pattern, and texts as long as its default limit requires take a
 * good part of a second.
 */
const LIMITS = { timeout: 10_000, attackLimit: 1_000_000, attackTimeout: null };

/**
 * Whether matching takes time linear in the length of the text.
 *
 * {@link isProvablyLinear} proves nearly all patterns that people write, in microseconds. The rest goes to
 * `recheck`, which finds the attack. That takes about ten milliseconds per pattern, or a second if it has to
 * search. It judges the pattern together with all texts that the pattern is never matched with, which match
 * at once. So what it finds is a text that can occur.
 *
 * @param pattern the compiled, anchored pattern
 * @param syntax the syntax tree of the pattern without its anchors
 * @param texts what the pattern is matched with
 * @param budget told if an analysis ends without a result
 */
export function backtrackingOf(
  pattern: RegExp,
  syntax: AST.Pattern,
  texts: Texts,
  budget: AnalysisBudget = UNLIMITED,
): Backtracking {
  // That proof knows only the characters of paths.
  if (texts === PATHS && isProvablyLinear(syntax, pattern.ignoreCase)) return { verdict: 'linear' };
  const behaviour = behaviourOf(widened(pattern, texts.others), budget);
  if (behaviour.verdict !== 'super-linear') return behaviour;
  const { attack: _, ...own } = behaviour;
  const attack = texts.shown(own.parts);
  const found: SuperLinear[] = [];
  for (const { others, only } of texts.readable) {
    if (only !== undefined && !pattern.source.includes(only)) continue;
    const other = shownBehaviour(behaviourOf(widened(pattern, others), budget), texts);
    if (other?.complexity === own.complexity) return other;
    if (other !== undefined) found.push(other);
  }
  if (attack !== undefined) return { ...own, attack };
  const [first] = found;
  if (first !== undefined || texts.allOthers === undefined) return first ?? own;
  const exact = behaviourOf(widened(pattern, texts.allOthers), budget);
  if (exact.verdict === 'linear') return exact;
  return shownBehaviour(exact, texts) ?? own;
}

/** A result with its attack as a request has it; undefined if it has none. */
function shownBehaviour(behaviour: Backtracking, texts: Texts): SuperLinear | undefined {
  if (behaviour.verdict !== 'super-linear') return undefined;
  const attack = texts.shown(behaviour.parts);
  return attack === undefined ? undefined : { ...behaviour, attack };
}

/** The results of analyses, by pattern. They are plain data, so they can be sent to other threads. */
export type KnownBehaviours = readonly (readonly [pattern: string, behaviour: Backtracking])[];

/** Results are kept over a reload, because most patterns are then the same. */
const known = new LRUCache<string, Backtracking>({ max: 20_000 });

/** The results so far, except those of analyses that reached their time limit. */
export function knownBehaviours(): KnownBehaviours {
  return [...known.entries()];
}

/** Adds the results of another thread. */
export function learnBehaviours(behaviours: KnownBehaviours): void {
  for (const [pattern, behaviour] of behaviours) known.set(pattern, behaviour);
}

/** Whether a pattern takes linear time on every text. */
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
    // A pattern that cannot be analysed because the package is missing is refused, with its position. The
    // other patterns of the rule set are still judged.
    if (error instanceof MissingPackageError) return { verdict: 'unknown', reason: error.message };
    throw error;
  }
  let result: Recheck.Diagnostics;
  try {
    result = checkSync(pattern.source, pattern.flags, { ...LIMITS, timeout });
  } catch {
    // For some patterns the library throws, for example because its recursion is too deep.
    return { verdict: 'unknown', reason: 'the analysis failed' };
  }
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
