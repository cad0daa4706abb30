import { BlockList, isIP, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

/** Who is at the other end of a connection. */
export interface Peer {
  /** IP address; IPv4-mapped IPv6 addresses are shown as IPv4. Empty for a connection that is gone. */
  readonly address: string;
  /** Whether the connection itself is TLS. */
  readonly secure: boolean;
  /** Whether what it says in `Forwarded` and `X-Forwarded-*` is believed. */
  readonly trusted: boolean;
}

/**
 * Builds the function that tells who a connection's peer is. The answer is kept with the connection.
 *
 * @param cidrs addresses and CIDR blocks of the proxies that are believed
 * @throws RangeError when an entry is neither
 */
export function peerReader(cidrs: readonly string[]): (socket: Socket) => Peer {
  const trusted = new BlockList();
  for (const cidr of cidrs) addBlock(trusted, cidr);
  const known = new WeakMap<Socket, Peer>();
  return (socket) => {
    let peer = known.get(socket);
    if (peer === undefined) {
      const address = (socket.remoteAddress ?? '').replace(/^::ffff:(?=\d+\.)/, '');
      const family = isIP(address);
      peer = {
        address,
        secure: (socket as TLSSocket).encrypted === true,
        trusted: family !== 0 && trusted.check(address, family === 4 ? 'ipv4' : 'ipv6'),
      };
      known.set(socket, peer);
    }
    return peer;
  };
}

function addBlock(list: BlockList, cidr: string): void {
  const [address = '', bits, ...rest] = cidr.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0)
    throw new RangeError(`"${cidr}" is neither an address nor a CIDR block`);
  const type = family === 4 ? 'ipv4' : 'ipv6';
  if (bits === undefined) {
    list.addAddress(address, type);
    return;
  }
  const prefix = /^\d{1,3}$/.test(bits) ? Number(bits) : -1;
  if (prefix < 0 || prefix > (family === 4 ? 32 : 128)) {
    throw new RangeError(`"${cidr}" is neither an address nor a CIDR block`);
  }
  list.addSubnet(address, prefix, type);
}
