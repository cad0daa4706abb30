import { hash, type X509Certificate } from 'node:crypto';
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
  /**
   * The peer's certificate, if an authority that the listener trusts has signed it. Anybody can write any
   * name into another one.
   */
  readonly certificate?: X509Certificate | undefined;
  /** TCP port. Undefined if there is none, or if the connection is closed already. */
  readonly port?: number | undefined;
  /** Undefined without TLS. */
  readonly tls?: TlsParameters | undefined;
}

/** What a TLS handshake settled. */
export interface TlsParameters {
  /** Such as `TLSv1.3`. */
  readonly version: string | undefined;
  /** The cipher suite, by its name in OpenSSL. */
  readonly cipher: string;
  /** The name that the client asked for in SNI (RFC 6066 §3). */
  readonly serverName: string | undefined;
}

/**
 * Builds the function that returns the peer of a connection. The result is cached per connection.
 *
 * @param cidrs addresses and CIDR blocks of trusted proxies
 * @param verifies whether the listener verifies client certificates with authorities of its own
 * @throws RangeError if an entry is neither
 */
export function peerReader(cidrs: readonly string[], verifies = false): (socket: Socket) => Peer {
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
        verifies,
      );
      known.set(socket, peer);
    }
    return peer;
  };
}

/** The peer of one connection. What is seldom needed is read on first use. */
class Connected implements Peer {
  readonly address: string;
  readonly secure: boolean;
  readonly trusted: boolean;
  readonly #socket: TLSSocket;
  readonly #verifies: boolean;
  #thumbprint: string | null | undefined = null;
  #certificate: X509Certificate | null | undefined = null;

  constructor(socket: Socket, address: string, trusted: boolean, verifies: boolean) {
    this.#socket = socket as TLSSocket;
    this.#verifies = verifies;
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

  get certificate(): X509Certificate | undefined {
    if (this.#certificate === null) {
      // Without authorities of its own, a listener verifies with those that browsers trust.
      const verified = this.#verifies && this.secure && this.#socket.authorized;
      this.#certificate = verified ? this.#socket.getPeerX509Certificate() : undefined;
    }
    return this.#certificate;
  }

  get port(): number | undefined {
    return this.#socket.remotePort;
  }

  get tls(): TlsParameters | undefined {
    if (!this.secure) return undefined;
    const { servername } = this.#socket as { servername?: string | false };
    return {
      version: this.#socket.getProtocol() ?? undefined,
      cipher: this.#socket.getCipher().name,
      serverName: servername === false ? undefined : servername,
    };
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
