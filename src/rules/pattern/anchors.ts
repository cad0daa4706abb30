import type { AST } from '@eslint-community/regexpp';

/** The `^` and `$` of a pattern. The pattern must match a whole path anyway. */
export interface Anchors {
  /** The offsets of redundant ones: a `^` before everything, a `$` after everything. */
  readonly idle: readonly number[];
  /**
   * The offset of a `^` that comes after something else. Either no path can match there, or the pattern means
   * less than it says.
   */
  readonly inner?: number;
}

/**
 * Finds the `^` and `$` of a pattern. An inner `$` (`/api(/|$)(.*)`) is not reported, because it has a
 * meaning.
 */
export function anchorsOf(pattern: AST.Pattern): Anchors {
  const idle = new Set<number>();
  collect(pattern.alternatives, 'start', idle);
  collect(pattern.alternatives, 'end', idle);
  const inner = firstStart(pattern.alternatives, idle);
  return { idle: [...idle], ...(inner === undefined ? {} : { inner }) };
}

/** Removes the redundant anchors from the source. Each one is one character. */
export function stripAnchors(source: string, { idle }: Anchors): string {
  const skipped = new Set(idle);
  return skipped.size === 0 ? source : [...source].filter((_, at) => !skipped.has(at)).join('');
}

function collect(alternatives: readonly AST.Alternative[], kind: 'start' | 'end', idle: Set<number>): void {
  for (const { elements } of alternatives) {
    const ordered = kind === 'start' ? elements : elements.toReversed();
    for (const element of ordered) {
      if (element.type === 'Assertion' && element.kind === kind) {
        idle.add(element.start);
        continue;
      }
      if (element.type === 'Group' || element.type === 'CapturingGroup')
        collect(element.alternatives, kind, idle);
      break;
    }
  }
}

function firstStart(alternatives: readonly AST.Alternative[], idle: ReadonlySet<number>): number | undefined {
  for (const { elements } of alternatives) {
    for (const element of elements) {
      const found = startIn(element, idle);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

function startIn(element: AST.Element, idle: ReadonlySet<number>): number | undefined {
  if (element.type === 'Assertion')
    return element.kind === 'start' && !idle.has(element.start) ? element.start : undefined;
  if (element.type === 'Quantifier') return startIn(element.element, idle);
  if (element.type === 'Group' || element.type === 'CapturingGroup')
    return firstStart(element.alternatives, idle);
  return undefined;
}
