/**
 * A cookie's name as the most liberal server reads it: percent-decoded, without regard to case, and with PHP's
 * underscores for dots, blanks and brackets.
 */
export function cookieKey(name: string): string {
  let decoded = name.trim();
  try {
    decoded = decodeURIComponent(decoded);
  } catch {
    // No escape after all.
  }
  return decoded.toLowerCase().replace(/[. [\]]/g, '_');
}

/** The names of all that any server takes for a cookie in a Cookie field, as {@link cookieKey} makes them. */
export function cookieKeys(field: string): string[] {
  // Old servers take a comma for a semicolon, and read `$` and quotation marks as RFC 2109 did.
  return field
    .split(/[;,]/)
    .map((piece) => cookieKey((piece.split('=', 1)[0] as string).replace(/^[\s"$]+|[\s"]+$/g, '')));
}

/**
 * The values of the cookies with exactly this name (RFC 6265 §4.2.1), without the quotation marks around them.
 *
 * @param cookie the Cookie field; undefined where there is none
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
