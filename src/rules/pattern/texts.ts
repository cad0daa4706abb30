import { PATH_CHARACTERS } from './alphabet.js';
import { type Attack, expressionOf, requestOfAttack } from './attack.js';
import { unwrap, wrap } from './syntax.js';

/**
 * Texts that a pattern is matched with. Only they count when the time of a match is judged: no client can
 * send a path with a line feed.
 */
export interface Texts {
  /** What one of them is called in messages. */
  readonly noun: 'path' | 'origin';
  /** An expression that matches, in linear time, only texts that do not belong to them. */
  readonly others: string;
  /**
   * The same for smaller sets of texts. If one of them has an attack, it is easier to read. The most readable
   * set is first.
   */
  readonly readable: readonly Readable[];
  /**
   * The same for all texts that do not belong to them. The analysis then takes a hundred times as long.
   */
  readonly allOthers?: string;
  /** Writes an attack as a request has it; undefined if no request can have it. */
  shown(attack: Attack): string | undefined;
}

/** A set of texts in which an attack is easy to read. */
interface Readable {
  readonly others: string;
  /** Patterns without this character have no attack here that smaller sets lack. */
  readonly only?: string;
}

const ANYTHING = '[\\s\\S]*';
/** Character classes, without their brackets. */
const LETTERS = 'a-z/';
/** The characters of a canonical path, without `.`, `'`, `;` and `%`. */
const PLAIN = 'A-Za-z0-9\\-_~!$&()*+,=:@/';
const PATH = PATH_CHARACTERS.join('').replace(/[\\\]^-]/g, '\\$&');
/** What a field value can hold (RFC 9110 §5.5). Node refuses every other character. */
const FIELD_VALUE = '\\t\\x20-\\x7e\\x80-\\xff';

/** What no path has that consists of these characters and has no empty segments. */
const notPath = (characters: string, ...more: string[]): string =>
  `(?:[^/]|[${characters}]*(?:${[`[^${characters}]`, '//', ...more].join('|')}))${ANYTHING}`;
/** What follows `%` if it is no escape of a delimiter in upper case. */
const OTHER_ESCAPE = '(?:[^2-7]|2[^1246-9A-C]|3[^ACDE]|4[^0]|5[^BDE]|6[^0]|7[^BCD])';
/** What follows `%` if it is no escape, or one of a control character. */
const NO_ESCAPE = '(?:[^2-9A-Fa-f]|[2-9A-Fa-f][^0-9A-Fa-f])';

/**
 * The paths that rules are matched with: canonical ones, and the other readings of one (`readings` in
 * `parse/target.ts`). No reading has dot segments or broken escapes. Some have empty segments, or characters
 * that a client must escape.
 */
export const PATHS: Texts = {
  noun: 'path',
  others: `[${PATH}]*[^${PATH}]${ANYTHING}`,
  readable: [
    { others: notPath(LETTERS) },
    { others: notPath(PLAIN) },
    { others: `${notPath(`${PLAIN}%`, `%${OTHER_ESCAPE}`)}|[${PLAIN}%]*%[2-7]?`, only: '%' },
  ],
  allOthers: [
    `(?:[^/]|[${PATH}]*(?:[^${PATH}]|/\\.\\.?/|%${NO_ESCAPE}))${ANYTHING}`,
    `[${PATH}]*(?:/\\.\\.?|%[0-9A-Fa-f]?)`,
  ].join('|'),
  shown: requestOfAttack,
};

/** The values of `Origin`. Nothing checks them before they are matched. */
export const ORIGINS: Texts = {
  noun: 'origin',
  others: `[${FIELD_VALUE}]*[^${FIELD_VALUE}]${ANYTHING}`,
  readable: [{ others: `[a-z.:/]*[^a-z.:/]${ANYTHING}` }],
  shown: expressionOf,
};

/**
 * Widens a pattern by texts that it is never matched with. It matches those at once, so if it is slow, it is
 * slow on one of the other texts, and so is the pattern itself.
 *
 * @param pattern a pattern from {@link wrap}
 * @param others as in {@link Texts}
 */
export function widened(pattern: RegExp, others: string): RegExp {
  return wrap(`${others}|${unwrap(pattern)}`, pattern.flags);
}
