import { isUtf8 } from 'node:buffer';

/**
 * How scopegate writes characters outside of ASCII in header fields and cookies that it sets: as UTF-8, as
 * percent-encoded UTF-8, or not at all.
 */
export type FieldEncoding = 'utf-8' | 'percent' | 'refuse';

/** Control characters would end the field and begin another one (RFC 9110 §5.5). */
const CONTROL = /[\0-\x08\x0a-\x1f\x7f]/;
const NON_ASCII = /[^\t\x20-\x7e]/;
/** Half of a surrogate pair. UTF-8 cannot write it, and a stand-in would make one subject of two. */
const LONE_SURROGATE = /\p{Surrogate}/u;
/** Blanks at the ends belong to no value (RFC 9110 §5.5). */
const EDGES = /^[\t ]|[\t ]$/;

/**
 * Encodes the value of a header field. The upstream must read the same value: if it lost something on the way,
 * the user `admin ` would be `admin` there.
 *
 * @returns a text whose characters are the octets to send; undefined if the value cannot be sent: unless it is
 *   percent-encoded, it begins or ends with a blank, or holds a control character or a lone surrogate; with
 *   `refuse`, it holds a character outside of ASCII
 */
export function encodeFieldValue(value: string, encoding: FieldEncoding): string | undefined {
  if (encoding !== 'percent' && EDGES.test(value)) return undefined;
  return encodeCharacters(value, encoding);
}

/** As {@link encodeFieldValue}, for a part of a value whose blanks at the ends are written in another way. */
export function encodeCharacters(value: string, encoding: FieldEncoding): string | undefined {
  if (encoding === 'percent') return percentEncoded(value);
  if (CONTROL.test(value)) return undefined;
  if (!NON_ASCII.test(value)) return value;
  if (LONE_SURROGATE.test(value)) return undefined;
  return encoding === 'refuse' ? undefined : Buffer.from(value, 'utf8').toString('latin1');
}

/**
 * Percent-encodes all characters that are not printable ASCII, `%` itself, and spaces at the ends, which
 * servers remove.
 */
function percentEncoded(value: string): string {
  const encoded = value
    .replace(/\p{Surrogate}/gu, '\ufffd')
    .replace(/[^\x20-\x24\x26-\x7e]+/g, encodeURIComponent);
  let from = 0;
  let to = encoded.length;
  // No expression: / +$/ would try each blank of a long run in the middle.
  while (from < to && encoded[from] === ' ') from++;
  while (to > from && encoded[to - 1] === ' ') to--;
  return '%20'.repeat(from) + encoded.slice(from, to) + '%20'.repeat(encoded.length - to);
}

/**
 * The text of a field value that was received: its octets, one a character, are UTF-8 if they can be. Otherwise
 * they stay as they are.
 */
export function decodeFieldValue(octets: string): string {
  if (!NON_ASCII.test(octets)) return octets;
  const bytes = Buffer.from(octets, 'latin1');
  return isUtf8(bytes) ? bytes.toString('utf8') : octets;
}
