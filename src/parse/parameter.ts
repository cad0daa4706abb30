import { lenientNames } from './lenient-name.js';

/** The parameters of one name in a query or a form, as strict and as lenient servers find them. */
export interface Occurrences {
  /** The values of parameters with exactly this name, decoded. */
  readonly values: readonly string[];
  /**
   * How many parameters the most lenient servers read as this name ({@link lenientNames}). They also accept lists
   * (`name[]`), or separate parameters with `;`.
   */
  readonly lookalikes: number;
}

const NONE: Occurrences = { values: [], lookalikes: 0 };

/**
 * Finds the parameters of one name.
 *
 * @param text `a=1&b=2`; a query may begin with `?`
 * @param name the decoded name
 */
export function occurrences(text: string, name: string): Occurrences {
  const pairs = text.startsWith('?') ? text.slice(1) : text;
  // The cheap test comes first: most texts contain neither the name nor an escape.
  if (pairs === '' || !mayName(pairs, name)) return NONE;
  const key = lenientNames(name)[0] as string;
  const lookalikes = pairs.split(/[&;]/).filter((pair) => isCalled(pair, key)).length;
  return { values: new URLSearchParams(`&${pairs}`).getAll(name), lookalikes };
}

function mayName(text: string, name: string): boolean {
  if (/[%+.[\] ]|[^\x21-\x7e]/.test(text)) return true;
  return text.length >= name.length && text.toLowerCase().includes(name.toLowerCase());
}

function isCalled(pair: string, key: string): boolean {
  const name = decode(pair.split('=', 1)[0] as string);
  return [name, name.split('[', 1)[0] as string].some((piece) => lenientNames(piece).includes(key));
}

function decode(text: string): string {
  const plain = text.replaceAll('+', ' ');
  try {
    return decodeURIComponent(plain);
  } catch {
    // The name contains an invalid escape. URLSearchParams keeps such an escape and decodes the others.
    return new URLSearchParams(`&${text}`).keys().next().value ?? plain;
  }
}
