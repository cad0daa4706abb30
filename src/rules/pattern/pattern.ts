import { LRUCache } from 'lru-cache';
import { type AnalysisBudget, UNLIMITED } from '../budget.js';
import { anchorsOf, stripAnchors } from './anchors.js';
import { unsetBackreference } from './backreferences.js';
import { backtrackingOf } from './backtracking.js';
import { type Translated, translate } from './dialect.js';
import { adoptShape, parse, type Shape, shapeOf, sizeOf, unwrap, wrap } from './syntax.js';
import { ORIGINS, PATHS, type Texts } from './texts.js';
import { wordBoundaryProblem } from './word-boundaries.js';

/** A path pattern that is accepted, or why it is refused. */
export type Compiled =
  | {
      readonly ok: true;
      /** Matches a whole canonical path: `^(?:…)$`. Shared by all rules with the same source. */
      readonly pattern: RegExp;
      /** The source as it was written in the rule. */
      readonly source: string;
      /** Whether its overlaps can be proved. False only if `undecided: accept` allowed it. */
      readonly decided: boolean;
    }
  | {
      readonly ok: false;
      /** `bad-pattern`, `pattern-dialect`, `pattern-too-large`, `pattern-undecided`, `pattern-backtracking`. */
      readonly code: string;
      readonly message: string;
    };

/** The longest pattern, in characters. */
const MAX_LENGTH = 4_096;
/**
 * The largest size of a pattern, in characters, with its counted repetitions written out (RE2's own limit is
 * 1,000).
 */
const MAX_SIZE = 4_000;
/** How deep parentheses may nest. */
const MAX_DEPTH = 200;

/**
 * Compiles the path of a rule. It refuses a pattern that cannot be matched in linear time, or that means
 * something else in JavaScript than in the dialect it was written for.
 *
 * @param source the pattern as written in the rule; it must match the whole canonical path
 * @param options with `undecided: accept`, the rule accepts that nobody can prove what a pattern with
 *   lookaround or backreferences overlaps with
 * @param budget the limits for its analysis
 */
export function compilePattern(
  source: string,
  options: { undecided: 'refuse' | 'accept' },
  budget: AnalysisBudget = UNLIMITED,
): Compiled {
  let compiled = compiledPatterns.get(source);
  if (compiled === undefined) {
    compiled = compile(source, PATHS, budget);
    compiledPatterns.set(source, compiled);
  }
  return options.undecided === 'accept' ? compiled : decidable(compiled, source);
}

/**
 * Compiles an expression for origins, which must match a whole `Origin`. It is held to the same safety, but
 * for every value that a client can send.
 *
 * @param source as written in a CORS policy
 * @param budget the limits for its analysis
 */
export function compileOriginPattern(source: string, budget: AnalysisBudget = UNLIMITED): Compiled {
  let compiled = originPatterns.get(source);
  if (compiled === undefined) {
    compiled = compile(source, ORIGINS, budget);
    originPatterns.set(source, compiled);
  }
  return decidable(compiled, source);
}

type Result = Compiled & { readonly undecidable?: string | undefined };

function decidable(compiled: Result, source: string): Compiled {
  if (!compiled.ok || compiled.undecidable === undefined) return compiled;
  return {
    ok: false,
    code: 'pattern-undecided',
    message: `scopegate cannot prove which other paths ${source} overlaps with: ${compiled.undecidable}; rewrite it, or set undecidedPattern: accept to serve it without that proof`,
  };
}

/** Results are kept over a reload, because most patterns are then the same. */
const compiledPatterns = new LRUCache<string, Result>({ max: 20_000 });
const originPatterns = new LRUCache<string, Result>({ max: 1_000 });
/** By expression: the source that it was compiled from. */
const sources = new WeakMap<RegExp, string>();

/** An accepted pattern, as plain data for another thread. */
export interface PatternDescription {
  /** The source as it was written in the rule. */
  readonly written: string;
  /** In JavaScript's dialect, without the anchors around it. */
  readonly source: string;
  readonly flags: string;
  readonly shape: Shape;
}

/**
 * Describes an accepted pattern.
 *
 * @param pattern a pattern from {@link compilePattern}
 */
export function describePattern(pattern: RegExp): PatternDescription {
  const source = unwrap(pattern);
  return {
    written: sources.get(pattern) ?? source,
    source,
    flags: pattern.flags,
    shape: shapeOf(pattern),
  };
}

/** Adds patterns that another thread has accepted. {@link compilePattern} then does not analyse them again. */
export function learnPatterns(patterns: readonly PatternDescription[]): void {
  for (const { written, source, flags, shape } of patterns) {
    // A pattern that is in use already has been compiled.
    if (compiledPatterns.get(written)?.ok === true) continue;
    const pattern = wrap(source, flags);
    adoptShape(pattern, shape);
    sources.set(pattern, written);
    compiledPatterns.set(written, accepted(pattern, written, shape));
  }
}

function accepted(pattern: RegExp, source: string, { undecidable }: Shape): Result {
  return { ok: true, pattern, source, decided: undecidable === undefined, undecidable };
}

function compile(source: string, texts: Texts, budget: AnalysisBudget): Result {
  if (source.length > MAX_LENGTH)
    return fail('pattern-too-large', `the pattern is longer than ${MAX_LENGTH} characters`);
  if (depthOf(source) > MAX_DEPTH)
    return fail('pattern-too-large', `the pattern nests parentheses more than ${MAX_DEPTH} deep`);
  const translated = translate(source);
  if (!translated.ok) return fail(translated.code, `${translated.message}: ${source}`);
  const { flags } = translated;

  let syntax: ReturnType<typeof parse>;
  try {
    syntax = parse(translated.source);
  } catch (error) {
    return fail('bad-pattern', `${syntaxProblem(error, translated)}: ${source}`);
  }
  if (sizeOf(syntax.alternatives) > MAX_SIZE) {
    return fail(
      'pattern-too-large',
      `the pattern has more than ${MAX_SIZE} characters when its repetitions are expanded: ${source}`,
    );
  }
  const boundaries = wordBoundaryProblem(syntax);
  if (boundaries !== undefined) return fail('pattern-too-large', `the pattern ${boundaries}: ${source}`);
  const edges = anchorsOf(syntax);
  if (edges.inner !== undefined) {
    const at = (translated.origins[edges.inner] as number) + 1;
    return fail(
      'pattern-dialect',
      `^ at character ${at} can only match at the start of a path; remove it: ${source}`,
    );
  }
  const unset = unsetBackreference(syntax);
  if (unset !== undefined) {
    const at = (translated.origins[unset.start] as number) + 1;
    return fail(
      'pattern-dialect',
      `backreference ${unset.raw} at character ${at} may refer to a group that has not matched; write the text again in its place: ${source}`,
    );
  }
  const bare = stripAnchors(translated.source, edges);
  if (bare !== translated.source) syntax = parse(bare);

  let pattern: RegExp;
  try {
    pattern = wrap(bare, flags);
    // The engine compiles an expression at its first use, and only then reports that it is too large.
    shapeOf(pattern, syntax);
  } catch (error) {
    return fail('bad-pattern', `${error instanceof Error ? error.message : error}`);
  }

  const behaviour = backtrackingOf(pattern, syntax, texts, budget);
  if (behaviour.verdict === 'super-linear') {
    const { complexity, attack } = behaviour;
    const on = attack === undefined ? '' : ` on the ${texts.noun} ${attack}`;
    return fail(
      'pattern-backtracking',
      `matching takes ${complexity} time: ${source}${on}; rewrite it without nested or adjacent repetitions of the same characters`,
    );
  }
  if (behaviour.verdict === 'unknown') {
    return fail(
      'pattern-backtracking',
      `scopegate cannot prove that it matches in linear time (${behaviour.reason}): ${source}; simplify it`,
    );
  }
  sources.set(pattern, source);
  return accepted(pattern, source, shapeOf(pattern));
}

function fail(code: string, message: string): Result {
  return { ok: false, code, message };
}

function depthOf(source: string): number {
  let depth = 0;
  let deepest = 0;
  for (let i = 0; i < source.length; i++) {
    const char = source[i];
    if (char === '\\') i++;
    else if (char === '(') deepest = Math.max(deepest, ++depth);
    else if (char === ')') depth--;
  }
  return deepest;
}

/** Messages of the parser, and what to say instead. */
const PLAIN: readonly (readonly [RegExp, string])[] = [
  [/nothing to repeat/i, 'a repetition (*, +, ? or {n}) has nothing before it to repeat'],
  [/unterminated group/i, 'a parenthesis is not closed'],
  [/unmatched '\)'/i, 'a ) has no matching ('],
  [/unterminated character class/i, 'a bracket is not closed'],
  [/out of order in \{\}/i, 'a repetition has a minimum that is larger than its maximum'],
  [/range out of order/i, 'a range in brackets ends before it begins'],
  [/at end of pattern/i, 'a backslash has nothing after it'],
  [/lone quantifier brackets/i, 'a brace is not part of a repetition (write \\{ for the character)'],
];

/** The message of the parser, with the position in the pattern as written. */
function syntaxProblem(error: unknown, { origins }: Translated): string {
  if (!(error instanceof Error)) throw error;
  const what = /^Invalid regular expression: .*: ([^:]+)$/s.exec(error.message)?.[1] ?? error.message;
  const index = 'index' in error && typeof error.index === 'number' ? error.index : undefined;
  const plain = PLAIN.find(([pattern]) => pattern.test(what))?.[1] ?? what;
  if (index === undefined) return plain;
  const origin = origins[index] ?? (origins.at(-1) ?? -1) + 1;
  return `${plain} at character ${origin + 1}`;
}
