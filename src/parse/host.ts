/**
 * A host name or address with an optional port, and nothing else: RFC 3986 §3.2.2 without percent-encoding
 * and without userinfo, which Host must not contain (RFC 9110 §7.2). Underscores are allowed because service
 * names contain them.
 */
const AUTHORITY =
  /^([A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9._-])?|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?$/;

/**
 * Reads an authority (`Host`, `:authority`, the authority of an absolute-form target).
 *
 * @returns the host in lower case without its port; undefined if the text is not a plain authority
 */
export function readHost(authority: string): string | undefined {
  const match = AUTHORITY.exec(authority);
  if (match === null) return undefined;
  const port = match[2];
  if (port !== undefined && (Number(port) < 1 || Number(port) > 65535)) return undefined;
  const host = match[1] as string;
  if (host.startsWith('[') ? !isIpv6(host.slice(1, -1)) : host.includes('..')) return undefined;
  return host.toLowerCase();
}

/**
 * Whether a host matches one of the patterns.
 *
 * @param patterns in lower case: names, `*.suffix` for all names below, or `*` for any
 */
export function isHeldBy(patterns: readonly string[], host: string): boolean {
  return patterns.some((each) =>
    each === '*' ? true : each.startsWith('*.') ? host.endsWith(each.slice(1)) : each === host,
  );
}

function isIpv6(address: string): boolean {
  // node:net's isIPv6 accepts zone identifiers, which the pattern above already excludes.
  const halves = address.split('::');
  if (halves.length > 2) return false;
  const groups = halves.flatMap((half) => (half === '' ? [] : half.split(':')));
  // An IPv4 address may only be at the very end: `192.0.2.1::` is invalid.
  const last = halves.at(-1)?.split(':').at(-1) ?? '';
  const dotted =
    /^(?:\d{1,3}\.){3}\d{1,3}$/.test(last) && last.split('.').every((part) => Number(part) < 256);
  const hex = dotted ? groups.slice(0, -1) : groups;
  if (!hex.every((group) => /^[0-9A-Fa-f]{1,4}$/.test(group))) return false;
  const count = hex.length + (dotted ? 2 : 0);
  return halves.length === 2 ? count < 8 : count === 8;
}
