import { hash } from 'node:crypto';
import { BlockList, isIP, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

/** The peer of a connection: a client or a proxy. */
export interface Peer {
  /** IP address; IPv4-mapped IPv6 addresses are shown as IPv4. Empty if the connection is closed already. */
  readonly address: string;
  /** Whether the connection itself is TLS. */
  readonly secure: boolean;
  /** Whether its `Forwarded` and `X-Forwarded-*` fields are trusted. */
  readonly trusted: boolean;
  /** The SHA-256 thumbprint, in base64url, of the peer's certificate from the TLS handshake, if any. */
  readonly thumbprint?: string | undefined;
}

/**
 * Builds the function that returns the peer of a connection. The result is cached per connection.
 *
 * @param cidrs addresses and CIDR blocks of trusted proxies
 * @throws RangeError if an entry is neither
 */
export function peerReader(cidrs: readonly string[]): (socket: Socket) => Peer {
  const trusted = new BlockList();
  for (const cidr of cidrs) {
    const network = readNetwork(cidr);
    if (network === undefined) throw new RangeError(`"${cidr}" is neither an address nor a CIDR block`);
    trusted.addSubnet(network.address, network.prefix, network.family);
  }
  const known = new WeakMap<Socket, Peer>();
  return (socket) => {
    let peer = known.get(socket);
    if (peer === undefined) {
      const address = (socket.remoteAddress ?? '').replace(/^::ffff:(?=\d+\.)/, '');
      const family = isIP(address);
      peer = new Connected(
        socket,
        address,
        family !== 0 && trusted.check(address, family === 4 ? 'ipv4' : 'ipv6'),
      );
      known.set(socket, peer);
    }
    return peer;
  };
}

/** The peer of one connection. Its certificate is read on first use, because it is seldom needed. */
class Connected implements Peer {
  readonly address: string;
  readonly secure: boolean;
  readonly trusted: boolean;
  readonly #socket: TLSSocket;
  #thumbprint: string | null | undefined = null;

  constructor(socket: Socket, address: string, trusted: boolean) {
    this.#socket = socket as TLSSocket;
    this.address = address;
    this.secure = this.#socket.encrypted === true;
    this.trusted = trusted;
  }

  get thumbprint(): string | undefined {
    if (this.#thumbprint === null) {
      const der = this.secure ? this.#socket.getPeerX509Certificate()?.raw : undefined;
      this.#thumbprint = der === undefined ? undefined : hash('sha256', der, 'base64url');
    }
    return this.#thumbprint;
  }
}

/** An address or a CIDR block, in the form that `net.BlockList` takes. */
export interface Network {
  readonly address: string;
  readonly family: 'ipv4' | 'ipv6';
  /** Leading bits that must match: all of them for a single address. */
  readonly prefix: number;
}

/**
 * Reads an address or a CIDR block.
 *
 * @returns undefined if the text is neither
 */
export function readNetwork(text: string): Network | undefined {
  const [address = '', bits, ...rest] = text.split('/');
  const version = isIP(address);
  if (version === 0 || rest.length > 0) return undefined;
  const most = version === 4 ? 32 : 128;
  const prefix = bits === undefined ? most : /^\d{1,3}$/.test(bits) ? Number(bits) : Number.NaN;
  return prefix <= most ? { address, family: version === 4 ? 'ipv4' : 'ipv6', prefix } : undefined;
}
