/**
 * How scopegate writes characters outside of ASCII in header fields and cookies that it sets: as UTF-8, as
 * percent-encoded UTF-8, or not at all.
 */
export type FieldEncoding = 'utf-8' | 'percent' | 'refuse';

/** Control characters would end the field and begin another one (RFC 9110 §5.5). */
const CONTROL = /[\0-\x08\x0a-\x1f\x7f]/;
const NON_ASCII = /[^\t\x20-\x7e]/;

/**
 * Encodes the value of a header field.
 *
 * @returns a text whose characters are the octets to send; undefined if the value cannot be sent: it holds a
 *   control character that is not percent-encoded, or with `refuse` a character outside of ASCII
 */
export function encodeFieldValue(value: string, encoding: FieldEncoding): string | undefined {
  if (encoding === 'percent') return percentEncoded(value);
  if (CONTROL.test(value)) return undefined;
  if (!NON_ASCII.test(value)) return value;
  return encoding === 'refuse' ? undefined : Buffer.from(value, 'utf8').toString('latin1');
}

/**
 * Percent-encodes all characters that are not printable ASCII, `%` itself, and spaces at the ends, which
 * servers remove.
 */
function percentEncoded(value: string): string {
  return value
    .replace(/\p{Surrogate}/gu, '\ufffd')
    .replace(/[^\x20-\x24\x26-\x7e]+/g, encodeURIComponent)
    .replace(/^ +| +$/g, (run) => '%20'.repeat(run.length));
}
