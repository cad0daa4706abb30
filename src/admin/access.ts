import { createHash, timingSafeEqual } from 'node:crypto';
import { isIP, type Socket } from 'node:net';

/** What the access control of the admin listener depends on. */
export interface AccessOptions {
  /** Host names that the admin listener accepts, in addition to IP addresses and localhost. */
  readonly hosts: readonly string[];
  /**
   * The credential for requests that change something. It is read for each request, because it may be
   * rotated.
   */
  readonly token?: { reveal(): string };
  /** Whether a connection comes from this machine. */
  readonly isLocal: (socket: Socket) => boolean;
}

/** A refusal: the status, and the message for the client. */
export interface AccessRefusal {
  readonly code: 401 | 403;
  readonly message: string;
}

/**
 * The fields in which a browser says which page sent the request (Fetch Standard §3.2, Fetch Metadata §2.3).
 */
export interface CrossSiteFields {
  readonly host?: string | undefined;
  readonly origin?: string | undefined;
  readonly 'sec-fetch-site'?: string | string[] | undefined;
}

/** The access control of the admin listener. Each method returns undefined if it accepts the request. */
export interface Access {
  /**
   * Checks the host name against DNS rebinding: a page of another site can point its own name at this
   * address, and would then be allowed to read the responses. Such a name is in the Host field, and it is not
   * one of the known names.
   */
  read(host: string | undefined): AccessRefusal | undefined;
  /**
   * The same check for endpoints that machines read. They may use any name that a cluster or a compose file
   * gives to this port. A browser always sends a name, and an attacker cannot register a name of a single
   * word, or one that ends in `.svc` or `.internal`.
   */
  scrape(host: string | undefined): AccessRefusal | undefined;
  /**
   * Checks against cross-site requests: a page of another site must not act in the name of the person at the
   * browser.
   */
  cross(fields: CrossSiteFields): AccessRefusal | undefined;
  /**
   * Checks whether a request may change something. It needs the credential; if none is configured, it must
   * come from this machine.
   */
  write(socket: Socket, authorization: string | undefined): AccessRefusal | undefined;
}

/** Builds the access control of the admin listener. */
export function createAccess({ hosts, token, isLocal }: AccessOptions): Access {
  const known = new Set(hosts.map((host) => host.toLowerCase()));
  const isOwn = (name: string): boolean =>
    isIP(name.replace(/^\[(.*)\]$/, '$1')) !== 0 ||
    name === 'localhost' ||
    name.endsWith('.localhost') ||
    known.has(name);
  const stranger: AccessRefusal = { code: 403, message: 'The host name is not listed in admin.hosts' };
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
      return foreign ? { code: 403, message: 'A page of another site must not do this' } : undefined;
    },
    write(socket, authorization = '') {
      if (token === undefined) {
        if (isLocal(socket)) return undefined;
        return {
          code: 403,
          message: 'Only connections from this machine may do this; to allow others, set admin.tokenFile',
        };
      }
      const [, given = ''] = /^bearer +(\S+)$/i.exec(authorization) ?? [];
      if (given !== '' && same(given, token.reveal())) return undefined;
      return { code: 401, message: 'This needs the bearer token of admin.tokenFile' };
    },
  };
}

/** No name, a single word, or a suffix under which no registry sells names. */
const UNREGISTRABLE = /^(?:[^.]*|.*\.(?:svc|cluster\.local|internal))$/;

/** The name in a Host field, without its port. */
function nameOf(host = ''): string {
  return host.replace(/:[0-9]*$/, '').toLowerCase();
}

/**
 * Whether an origin is the one that the request goes to. Only hosts are compared: a proxy in front may
 * terminate TLS, so the scheme is not known.
 */
function isSame(origin: string, host = ''): boolean {
  if (!URL.canParse(origin)) return false;
  const { protocol, host: given } = new URL(origin);
  const target = `${protocol}//${host}`;
  return given !== '' && URL.canParse(target) && new URL(target).host === given;
}

function hostnameOf(origin: string): string {
  return URL.canParse(origin) ? new URL(origin).hostname : '';
}

/** Compares two texts in constant time, so that the time does not tell where they differ. */
function same(given: string, expected: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}
