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

/** What a browser says of who has sent it (Fetch Standard §3.2, Fetch Metadata §2.3). */
export interface CrossSiteFields {
  readonly host?: string | undefined;
  readonly origin?: string | undefined;
  readonly 'sec-fetch-site'?: string | string[] | undefined;
}

/** The admin port's questions about a request. */
export interface Access {
  /**
   * Whether a browser could have been lured here. A page of another site can make its own name point at this address
   * and then read what it likes (DNS rebinding); such a name is in the Host field, and none that we know.
   */
  read(host: string | undefined): AccessRefusal | undefined;
  /**
   * The same for what machines read, under whatever name their cluster or compose file has for this port: a browser
   * sends a name always, and nobody can register one of a single word, or one that ends in `.svc` or `.internal`.
   */
  scrape(host: string | undefined): AccessRefusal | undefined;
  /** Whether a browser was sent here by another site, which wants something to be done in its visitor's name. */
  cross(fields: CrossSiteFields): AccessRefusal | undefined;
  /** Whether a request may change something: it has the credential; where there is none, it comes from this machine. */
  write(socket: Socket, authorization: string | undefined): AccessRefusal | undefined;
}

/** Builds the access control of the admin port. */
export function createAccess({ hosts, token, isLocal }: AccessOptions): Access {
  const known = new Set(hosts.map((host) => host.toLowerCase()));
  const isOwn = (name: string): boolean =>
    isIP(name.replace(/^\[(.*)\]$/, '$1')) !== 0 ||
    name === 'localhost' ||
    name.endsWith('.localhost') ||
    known.has(name);
  const stranger: AccessRefusal = { code: 403, message: 'The host name is none of admin.hosts' };
  return {
    read: (host) => (isOwn(nameOf(host)) ? undefined : stranger),
    scrape(host) {
      const name = nameOf(host);
      return isOwn(name) || UNREGISTRABLE.test(name) ? undefined : stranger;
    },
    cross({ host, origin, 'sec-fetch-site': site = 'none' }) {
      const foreign =
        (site !== 'none' && site !== 'same-origin') ||
        (origin !== undefined && !isSame(origin, host) && !known.has(hostnameOf(origin)));
      return foreign ? { code: 403, message: 'A page of another site may not do this' } : undefined;
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

/** No name, one of a single word, and ends of names that no registry gives away. */
const UNREGISTRABLE = /^(?:[^.]*|.*\.(?:svc|cluster\.local|internal))$/;

/** The name in a Host field, without its port. */
function nameOf(host = ''): string {
  return host.replace(/:[0-9]*$/, '').toLowerCase();
}

/** Whether an origin is the one that a request goes to, as far as its host says: what ends TLS in front is not known. */
function isSame(origin: string, host = ''): boolean {
  if (!URL.canParse(origin)) return false;
  const { protocol, host: given } = new URL(origin);
  const target = `${protocol}//${host}`;
  return given !== '' && URL.canParse(target) && new URL(target).host === given;
}

function hostnameOf(origin: string): string {
  return URL.canParse(origin) ? new URL(origin).hostname : '';
}

/** Compares without telling by its time where two texts differ. */
function same(given: string, expected: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}
