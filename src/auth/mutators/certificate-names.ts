import type { X509Certificate } from 'node:crypto';

/** Which alternative names of a certificate (RFC 5280 §4.2.1.6), as Node writes their kind. */
export type NameKind = 'DNS' | 'URI' | 'email' | 'IP Address';

/**
 * Writes a distinguished name in the form of RFC 2253, as Envoy does: the last part first, and every character
 * that is special, a control or outside of ASCII escaped.
 *
 * @param text `subject` or `issuer` of Node's `X509Certificate`: a line for each part, in the order of the
 *   certificate, with special and control characters escaped already
 */
export function distinguishedName(text: string | undefined): string {
  return (
    (text ?? '')
      .split('\n')
      .filter((part) => part !== '')
      .reverse()
      // A plus sign in a value is escaped, so it never stands between two blanks.
      .map((part) => part.split(' + ').reverse().join('+'))
      .join(',')
      .replace(/[^\x20-\x7e]+/g, (run) =>
        Buffer.from(run, 'utf8').toString('hex').toUpperCase().replace(/../g, '\\$&'),
      )
  );
}

/** One alternative name, with its kind. Node puts a name into quotation marks if it could be read as two. */
const NAME = /([A-Za-z][A-Za-z ]*):(?:("(?:[^"\\]|\\.)*")|([^",]*))(?:, |$)/y;

/**
 * The alternative names of one kind, joined with commas as Envoy does. A comma in a name is written as `%2C`,
 * so that nobody can write two names as one.
 *
 * @returns empty if there is none, or if the names cannot be told apart
 */
export function alternativeNames({ subjectAltName }: X509Certificate, kind: NameKind): string {
  const text = subjectAltName ?? '';
  const names: string[] = [];
  NAME.lastIndex = 0;
  while (NAME.lastIndex < text.length) {
    const [, found, quoted, plain = ''] = NAME.exec(text) ?? [];
    if (found === undefined) return '';
    if (found === kind) names.push(quoted === undefined ? plain : (JSON.parse(quoted) as string));
  }
  return names.map((name) => (kind === 'IP Address' ? address(name) : name.replaceAll(',', '%2C'))).join(',');
}

/** An IP address in its usual form (RFC 5952). */
function address(text: string): string {
  return text.includes(':') && URL.canParse(`http://[${text}]`)
    ? new URL(`http://[${text}]`).hostname.slice(1, -1)
    : text;
}
