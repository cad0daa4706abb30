/**
 * A name of DNS labels, optionally with `*.` in front, which means all names below it. Kyma allows
 * underscores.
 */
const HOST = /^(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/;

/**
 * Reads a host of an APIRule: a full name, `*.suffix`, `*` for any host, or a short name, to which Kyma
 * appends the cluster's domain.
 *
 * @param domain is appended to a name without a dot; if undefined, the name is kept as it is
 * @returns the host in lower case, or why the text is not a host
 */
export function readRuleHost(
  text: string,
  domain: string | undefined,
): { host: string } | { problem: string } {
  if (text === '*') return { host: text };
  if (text.includes('$')) return { problem: `contains the variable ${text}: replace it with its value` };
  if (text.includes(':'))
    return {
      problem: 'must be a host name without scheme and port; scopegate compares hosts without the port',
    };
  const lower = text.toLowerCase();
  const host = domain === undefined || lower.includes('.') ? lower : `${lower}.${domain.toLowerCase()}`;
  if (host.length > 253 || !HOST.test(host))
    return { problem: 'must be a host name, *.suffix, or * for any host' };
  return { host };
}
