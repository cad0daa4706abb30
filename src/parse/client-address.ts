import { BlockList, isIP, isIPv6 } from 'node:net';
import type { Fields } from './fields.js';
import { type Peer, readNetwork } from './peer.js';

/** Returns the address of the client that sent a request, through any number of trusted proxies. */
export type ClientAddressReader = (peer: Peer | undefined, fields: Fields) => string;

/**
 * Builds the function that finds the client's address. That is the peer's address, unless the peer is a
 * trusted proxy. A trusted proxy states the client in `X-Forwarded-For`. The list is read from its end, where
 * the last proxy wrote, up to the first address that is not a trusted proxy: a client can have forged what is
 * before that address.
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
 * The key that limits count a client by. For an IPv6 address it is the /64 network: a client usually gets at
 * least a /64, and may use every address in it.
 *
 * @param address an IP address
 */
export function clientKey(address: string): string {
  if (!isIPv6(address)) return address;
  const [head = '', tail] = address.replace(/%.*/, '').split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const after = tail === '' ? [] : tail.split(':');
    // An IPv4 address at the end replaces two groups.
    const missing = 8 - groups.length - after.length - (tail.includes('.') ? 1 : 0);
    groups.push(...Array<string>(Math.max(0, missing)).fill('0'), ...after);
  }
  return groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':');
}
