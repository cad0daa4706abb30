import { BlockList, isIP, isIPv6 } from 'node:net';
import type { Fields } from './fields.js';
import { type Peer, readNetwork } from './peer.js';

/** Tells the address of the client that a request comes from, however many trusted proxies it came through. */
export type ClientAddressReader = (peer: Peer | undefined, fields: Fields) => string;

/**
 * Builds the function that tells a client's address: the peer's, or what a trusted peer says of it in
 * `X-Forwarded-For`, read from its end, where the last proxy wrote, up to the first address that is no trusted
 * proxy's: what stands before that one a client can have made up.
 *
 * @param cidrs the networks of trusted proxies, valid
 */
export function clientAddressReader(cidrs: readonly string[]): ClientAddressReader {
  const trusted = new BlockList();
  for (const cidr of cidrs) {
    const network = readNetwork(cidr);
    if (network !== undefined) trusted.addSubnet(network.address, network.prefix, network.family);
  }
  const isTrusted = (address: string): boolean =>
    trusted.check(address, isIP(address) === 4 ? 'ipv4' : 'ipv6');
  return (peer, fields) => {
    let client = peer?.address ?? '';
    if (peer?.trusted !== true) return client;
    const hops: string[] = [];
    for (let i = 0; i < fields.names.length; i++) {
      if (fields.names[i] === 'x-forwarded-for') hops.push(...(fields.raw[i * 2 + 1] as string).split(','));
    }
    for (const hop of hops.reverse()) {
      const address = hop.trim().replace(/^\[|\](?::\d+)?$|(?<=^[\d.]+):\d+$/g, '');
      if (isIP(address) === 0) break;
      client = address;
      if (!isTrusted(address)) break;
    }
    return client;
  };
}

/**
 * The key by which limits tell clients apart. For an IPv6 address it is the /64 network: a client gets at least that,
 * and may use every address in it.
 *
 * @param address an IP address
 */
export function clientKey(address: string): string {
  if (!isIPv6(address)) return address;
  const [head = '', tail] = address.replace(/%.*/, '').split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const after = tail === '' ? [] : tail.split(':');
    // An IPv4 address at the end takes the place of two groups.
    const missing = 8 - groups.length - after.length - (tail.includes('.') ? 1 : 0);
    groups.push(...Array<string>(Math.max(0, missing)).fill('0'), ...after);
  }
  return groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':');
}
