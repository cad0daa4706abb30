/** A name of DNS labels, with `*.` before it for all names below; Kyma tolerates underscores. */
const HOST = /^(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/;

/**
 * Reads an APIRule's host: a full name, `*.suffix`, `*` for any host, or a short name, to which Kyma appends
 * the cluster's domain.
 *
 * @param domain appended to a name without a dot; undefined leaves it as it is
 * @returns the host in lower case, or why it is none
 */
export function readRuleHost(
  text: string,
  domain: string | undefined,
): { host: string } | { problem: string } {
  if (text === '*') return { host: text };
  if (text.includes('$')) return { problem: `holds the variable ${text}, which nobody expanded` };
  if (text.includes(':'))
    return { problem: 'must be a name without scheme and port; hosts are compared without port' };
  const lower = text.toLowerCase();
  const host = domain === undefined || lower.includes('.') ? lower : `${lower}.${domain.toLowerCase()}`;
  if (host.length > 253 || !HOST.test(host))
    return { problem: 'must be a host name, *.suffix, or * for any host' };
  return { host };
}
