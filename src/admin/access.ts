import { createHash, timingSafeEqual } from 'node:crypto';
import { isIP, type Socket } from 'node:net';

/** Who may see and do what. */
export interface AccessOptions {
  /** Host names under which the port is reached, besides IP addresses and localhost. */
  readonly hosts: readonly string[];
  /** The credential for what changes something; read at each use, for it may be rotated. */
  readonly token?: { reveal(): string };
  /** Whether a connection comes from this machine. */
  readonly isLocal: (socket: Socket) => boolean;
}

/** What keeps a request from being served: a status and what the client is told. */
export interface AccessRefusal {
  readonly code: 401 | 403;
  readonly message: string;
}

/** The admin port's two questions about a request. */
export interface Access {
  /**
   * Whether a browser could have been lured here. A page of another site can make its own name point at this address
   * and then read what it likes (DNS rebinding); such a name is in the Host field, and none that we know.
   */
  read(host: string | undefined): AccessRefusal | undefined;
  /** Whether a request may change something: it has the credential; where there is none, it comes from this machine. */
  write(socket: Socket, authorization: string | undefined): AccessRefusal | undefined;
}

/** Builds the access control of the admin port. */
export function createAccess({ hosts, token, isLocal }: AccessOptions): Access {
  const known = new Set(hosts.map((host) => host.toLowerCase()));
  return {
    read(host = '') {
      const name = host.replace(/:[0-9]*$/, '').toLowerCase();
      const address = name.replace(/^\[(.*)\]$/, '$1');
      if (isIP(address) !== 0 || name === 'localhost' || name.endsWith('.localhost') || known.has(name))
        return;
      return { code: 403, message: 'The host name is none of admin.hosts' };
    },
    write(socket, authorization = '') {
      if (token === undefined) {
        if (isLocal(socket)) return undefined;
        return {
          code: 403,
          message: 'Without admin.tokenFile, only peers of the loopback interface may do this',
        };
      }
      const [, given = ''] = /^bearer +(\S+)$/i.exec(authorization) ?? [];
      if (given !== '' && same(given, token.reveal())) return undefined;
      return { code: 401, message: 'The bearer token of admin.tokenFile is needed' };
    },
  };
}

/** Compares without telling by its time where two texts differ. */
function same(given: string, expected: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}
