import { type AST, RegExpParser } from '@eslint-community/regexpp';
import { isPath, PATH_CHARACTERS } from './alphabet.js';
import { getOrInsert } from './get-or-insert.js';

const parser = new RegExpParser();

/**
 * Parses a pattern in JavaScript's dialect, without the wrapper of {@link wrap}.
 *
 * @param unicode whether it is compiled with the flag `u`
 * @throws RegExpSyntaxError with `index`
 */
export function parse(source: string, unicode = false): AST.Pattern {
  return parser.parsePattern(source, 0, source.length, { unicode, unicodeSets: false });
}

/** Builds the regular expression that matches requests: the whole path must match (`^(?:path)$`). */
export function wrap(source: string, flags: string): RegExp {
  return new RegExp(`^(?:${source})$`, flags);
}

/** Returns the source that {@link wrap} was given. */
export function unwrap(pattern: RegExp): string {
  const { source } = pattern;
  if (!source.startsWith('^(?:') || !source.endsWith(')$')) {
    throw new TypeError(`not a path pattern: ${source}`);
  }
  return source.slice(4, -2);
}

/**
 * What is known about a pattern's paths without an automaton. All bounds are correct, but they need not be
 * tight.
 */
export interface Shape {
  /** Every path begins with it. */
  readonly prefix: string;
  /** Every path ends with it. */
  readonly suffix: string;
  /**
   * The first segments, between slashes, as far as their ends are known; undefined for one that is not
   * literal. `/[a-z]+/orders(/.*)?` has an undefined one and `orders`.
   */
  readonly segments: readonly (string | undefined)[];
  /** Whether the paths have no further segments. */
  readonly complete: boolean;
  /** The beginning of the segment after them; empty if there is no further segment, or if nothing is known. */
  readonly residue: string;
  /** Whether the pattern matches every path that begins with `prefix`. False means nothing. */
  readonly catchAll: boolean;
  /** Whether `prefix` is the only path that the pattern matches. */
  readonly literal: boolean;
  /** The smallest and the greatest number of characters. */
  readonly min: number;
  readonly max: number;
  /** A path that the pattern matches; undefined if the first guess did not match. */
  readonly sample?: string;
  /** The name of a construct outside the regular fragment. No automaton can decide such a pattern. */
  readonly undecidable?: string;
}

const shapes = new WeakMap<RegExp, Shape>();

/**
 * Determines a pattern's {@link Shape} from its syntax.
 *
 * @param pattern a pattern from {@link wrap}
 * @param syntax its syntax tree, if it has been parsed already
 */
export function shapeOf(pattern: RegExp, syntax?: AST.Pattern): Shape {
  return getOrInsert(shapes, pattern, () => readShape(pattern, syntax ?? parse(unwrap(pattern))));
}

/** Stores a shape that {@link shapeOf} determined for the same pattern on another thread. */
export function adoptShape(pattern: RegExp, shape: Shape): void {
  shapes.set(pattern, shape);
}

function readShape(expression: RegExp, pattern: AST.Pattern): Shape {
  const { ignoreCase } = expression;
  const { min, max } = lengths(pattern.alternatives);
  const elements = single(pattern.alternatives);
  const prefix = edge(elements, ignoreCase, false);
  const suffix = edge(elements, ignoreCase, true);
  const undecidable = undecidableIn(pattern.alternatives);
  const sample = sampleOf(pattern.alternatives, ignoreCase);
  return {
    prefix: prefix.text,
    suffix: suffix.text,
    ...segmentsOf(elements, ignoreCase),
    literal: prefix.whole && undecidable === undefined,
    catchAll: isCatchAll(elements, ignoreCase),
    min,
    max,
    ...(undecidable === undefined ? {} : { undecidable }),
    ...(sample !== undefined && isPath(sample) && expression.test(sample) ? { sample } : {}),
  };
}

/** The elements of a pattern or group; empty if it has several alternatives. */
function single(alternatives: readonly AST.Alternative[]): readonly AST.Element[] {
  return alternatives.length === 1 ? (alternatives[0] as AST.Alternative).elements : [];
}

interface Edge {
  readonly text: string;
  /** Whether the text is the whole content. */
  readonly whole: boolean;
}

/** Whether the elements are literal characters followed by `.*`. */
function isCatchAll(elements: readonly AST.Element[], ignoreCase: boolean): boolean {
  const last = elements.at(-1);
  return (
    !ignoreCase &&
    last?.type === 'Quantifier' &&
    last.min === 0 &&
    last.max === Number.POSITIVE_INFINITY &&
    last.element.type === 'CharacterSet' &&
    last.element.kind === 'any' &&
    elements.slice(0, -1).every(({ type }) => type === 'Character')
  );
}

/** The literal text at the beginning or at the end of a pattern. */
function edge(elements: readonly AST.Element[], ignoreCase: boolean, atEnd: boolean): Edge {
  let text = '';
  const grow = (more: string) => {
    text = atEnd ? more + text : text + more;
  };
  for (let i = 0; i < elements.length; i++) {
    const element = elements[atEnd ? elements.length - 1 - i : i] as AST.Element;
    if (element.type === 'Character') {
      const char = String.fromCodePoint(element.value);
      if (ignoreCase && char.toLowerCase() !== char.toUpperCase()) return { text, whole: false };
      grow(char);
    } else if (
      (element.type === 'Group' || element.type === 'CapturingGroup') &&
      element.alternatives.length === 1
    ) {
      const inner = edge(single(element.alternatives), ignoreCase, atEnd);
      grow(inner.text);
      if (!inner.whole) return { text, whole: false };
    } else if (element.type === 'Quantifier' && element.min > 0) {
      const inner = edge([element.element], ignoreCase, atEnd);
      const exact = element.min === element.max && inner.whole;
      grow(exact ? inner.text.repeat(Math.min(element.min, 256)) : inner.text);
      if (!exact || element.min > 256) return { text, whole: false };
    } else if (element.type === 'Assertion') {
      // An assertion consumes nothing and can only exclude paths. But then the text alone does not describe
      // all paths.
      const rest = atEnd ? elements.slice(0, elements.length - 1 - i) : elements.slice(i + 1);
      grow(edge(rest, ignoreCase, atEnd).text);
      return { text, whole: false };
    } else {
      return { text, whole: false };
    }
  }
  return { text, whole: elements.length > 0 };
}

function segmentsOf(
  elements: readonly AST.Element[],
  ignoreCase: boolean,
): Pick<Shape, 'segments' | 'complete' | 'residue'> {
  const segments: (string | undefined)[] = [];
  /** The literal beginning of the current segment, and whether all of the segment so far is literal. */
  let text = '';
  let literal = true;
  let begun = false;
  for (const [i, element] of elements.entries()) {
    if (element.type === 'Character' && element.value === SLASH) {
      // Nothing comes before the first slash; otherwise the text is not a path.
      if (begun) segments.push(literal ? text : undefined);
      begun = true;
      text = '';
      literal = true;
    } else if (element.type === 'Character') {
      const char = String.fromCodePoint(element.value);
      if (ignoreCase && char.toLowerCase() !== char.toUpperCase()) literal = false;
      if (literal) text += char;
    } else if (canHoldSlash(element, ignoreCase)) {
      // `(/.*)?` at the end of a pattern ends the segment, because a slash or the end of the path follows.
      const ends = begun && i === elements.length - 1 && begins(element, SLASH);
      if (ends) segments.push(literal ? text : undefined);
      return { segments, complete: false, residue: ends || !begun ? '' : text };
    } else if (element.type !== 'Assertion') literal = false;
  }
  if (!begun) return { segments, complete: false, residue: '' };
  segments.push(literal ? text : undefined);
  return { segments, complete: true, residue: '' };
}

const SLASH = 0x2f;

function canHoldSlash(element: AST.Element, ignoreCase: boolean): boolean {
  switch (element.type) {
    case 'Character':
    case 'CharacterSet':
    case 'CharacterClass':
      return charactersOf(element, ignoreCase).has(SLASH);
    case 'Group':
    case 'CapturingGroup':
      return element.alternatives.some((one) =>
        one.elements.some((inner) => canHoldSlash(inner, ignoreCase)),
      );
    case 'Quantifier':
      return canHoldSlash(element.element, ignoreCase);
    case 'Assertion':
      return false;
    default:
      return true;
  }
}

/** Whether everything that an element matches, except the empty string, begins with one given character. */
function begins(element: AST.Element, code: number): boolean {
  switch (element.type) {
    case 'Character':
      return element.value === code;
    case 'Group':
    case 'CapturingGroup':
      return element.alternatives.every(({ elements }) => {
        const [first] = elements;
        if (first === undefined) return true;
        return begins(first, code) && (elements.length === 1 || lengthOf(first).min > 0);
      });
    case 'Quantifier':
      return begins(element.element, code);
    default:
      return false;
  }
}

interface Range {
  readonly min: number;
  readonly max: number;
}

function lengths(alternatives: readonly AST.Alternative[]): Range {
  let min = Number.POSITIVE_INFINITY;
  let max = 0;
  for (const { elements } of alternatives) {
    let low = 0;
    let high = 0;
    for (const element of elements) {
      const range = lengthOf(element);
      low += range.min;
      high += range.max;
    }
    min = Math.min(min, low);
    max = Math.max(max, high);
  }
  return { min, max };
}

function lengthOf(element: AST.Element): Range {
  switch (element.type) {
    case 'Character':
    case 'CharacterSet':
    case 'CharacterClass':
      return { min: 1, max: 1 };
    case 'Group':
    case 'CapturingGroup':
      return lengths(element.alternatives);
    case 'Quantifier': {
      const inner = lengthOf(element.element);
      return {
        min: inner.min * element.min,
        max: inner.max === 0 || element.max === 0 ? 0 : inner.max * element.max,
      };
    }
    case 'Backreference':
      return { min: 0, max: Number.POSITIVE_INFINITY };
    default:
      return { min: 0, max: 0 };
  }
}

/** The first construct that no finite automaton can decide here, by its name in the manuals. */
function undecidableIn(alternatives: readonly AST.Alternative[]): string | undefined {
  for (const { elements } of alternatives) {
    for (const element of elements) {
      const found = undecidableElement(element);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

function undecidableElement(element: AST.Element): string | undefined {
  switch (element.type) {
    case 'Assertion':
      if (element.kind === 'lookahead' || element.kind === 'lookbehind') {
        return `${element.negate ? 'negative ' : ''}${element.kind} ${element.raw}`;
      }
      return element.kind === 'word' ? `word boundary ${element.raw}` : undefined;
    case 'Backreference':
      return `backreference ${element.raw}`;
    case 'Group':
    case 'CapturingGroup':
      return undecidableIn(element.alternatives);
    case 'Quantifier':
      return undecidableElement(element.element);
    default:
      return undefined;
  }
}

/** A sample path: the first alternative, the fewest repetitions, and the most readable characters. */
function sampleOf(alternatives: readonly AST.Alternative[], ignoreCase: boolean): string | undefined {
  let text = '';
  for (const element of alternatives[0]?.elements ?? []) {
    const part = sampleOfElement(element, ignoreCase);
    if (part === undefined || text.length > 1_024) return undefined;
    text += part;
  }
  return text;
}

function sampleOfElement(element: AST.Element, ignoreCase: boolean): string | undefined {
  switch (element.type) {
    case 'Character':
      return String.fromCodePoint(element.value);
    case 'CharacterSet':
    case 'CharacterClass': {
      const [code] = charactersOf(element, ignoreCase);
      return code === undefined ? undefined : String.fromCharCode(code);
    }
    case 'Group':
    case 'CapturingGroup':
      return sampleOf(element.alternatives, ignoreCase);
    case 'Quantifier': {
      if (element.min === 0) return '';
      return sampleOfElement(element.element, ignoreCase)?.repeat(Math.min(element.min, 1_024));
    }
    default:
      return '';
  }
}

/** The number of positions of the pattern with its counted repetitions written out. */
export function sizeOf(alternatives: readonly AST.Alternative[]): number {
  return weightOf(alternatives, 1, () => 1);
}

/** The number of word boundaries (`\b`, `\B`) of the pattern with its counted repetitions written out. */
export function wordBoundariesOf(alternatives: readonly AST.Alternative[]): number {
  return weightOf(alternatives, 0, ({ type, raw }) => (type === 'Assertion' && /^\\b$/i.test(raw) ? 1 : 0));
}

/**
 * @param own the weight of each list of alternatives itself
 * @param weigh the weight of an element that contains no others
 */
function weightOf(
  alternatives: readonly AST.Alternative[],
  own: number,
  weigh: (element: AST.Element) => number,
): number {
  const weightOfElement = (element: AST.Element): number => {
    if (element.type === 'Quantifier') {
      const { min, max } = element;
      const times = max === Number.POSITIVE_INFINITY ? Math.max(1, min) : max;
      return Math.max(1, times) * weightOfElement(element.element);
    }
    return 'alternatives' in element ? weightOf(element.alternatives, own, weigh) : weigh(element);
  };
  let weight = own;
  for (const { elements } of alternatives) {
    for (const element of elements) weight += weightOfElement(element);
  }
  return weight;
}

const sets = new Map<string, ReadonlySet<number>>();

/**
 * The path characters that one consuming element matches, determined with the engine that also matches
 * requests.
 */
export function charactersOf(
  element: AST.Character | AST.CharacterSet | AST.CharacterClass | AST.ExpressionCharacterClass,
  ignoreCase: boolean,
): ReadonlySet<number> {
  const key = `${ignoreCase ? 'i' : ''}/${element.raw}`;
  let set = sets.get(key);
  if (set === undefined) {
    const test = wrap(element.raw, ignoreCase ? 'i' : '');
    set = new Set(PATH_CHARACTERS.filter((char) => test.test(char)).map((char) => char.charCodeAt(0)));
    if (sets.size >= 4096) sets.clear();
    sets.set(key, set);
  }
  return set;
}
