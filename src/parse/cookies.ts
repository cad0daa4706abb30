import { lenientNames } from './lenient-name.js';

/**
 * The value of a cookie (RFC 6265 §4.1.1), and also spaces, because of which the value is quoted, and
 * characters outside of ASCII. Any other character could end this cookie and begin another one.
 */
export const COOKIE_VALUE = /^[ \x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e\u0080-\uffff]*$/;

/**
 * A cookie's name as the most lenient server reads it: percent-decoded, and as in {@link lenientNames}.
 */
export function cookieKey(name: string): string {
  return namesOf(name)[0] as string;
}

/**
 * The names of everything in a Cookie field that some server reads as a cookie, in the form of {@link
 * cookieKey}.
 */
export function cookieKeys(field: string): string[] {
  // Old servers split at commas as well as semicolons, and interpret `$` and quotation marks as in RFC 2109.
  return field
    .split(/[;,]/)
    .flatMap((piece) => namesOf((piece.split('=', 1)[0] as string).replace(/^[\s"$]+|[\s"]+$/g, '')));
}

function namesOf(name: string): readonly string[] {
  try {
    return lenientNames(decodeURIComponent(name));
  } catch {
    // The name contains an invalid escape, so the server would not decode it either.
    return lenientNames(name);
  }
}

/**
 * The values of the cookies with exactly this name (RFC 6265 §4.2.1), without surrounding quotation marks.
 *
 * @param cookie the Cookie field; undefined if there is none
 */
export function cookieValues(cookie: string | undefined, name: string): string[] {
  if (cookie === undefined) return [];
  const values: string[] = [];
  for (const pair of cookie.split(';')) {
    const equals = pair.indexOf('=');
    if (equals === -1 || pair.slice(0, equals).trim() !== name) continue;
    values.push(
      pair
        .slice(equals + 1)
        .trim()
        .replace(/^"(.*)"$/, '$1'),
    );
  }
  return values;
}
