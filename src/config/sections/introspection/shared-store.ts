import type { StorePlace } from '../../../outbound/redis/store.js';
import { readCipherKey } from '../../key.js';
import {
  duration,
  file,
  integer,
  limit,
  list,
  openFile,
  openSecret,
  path,
  secretFile,
  text,
} from '../../kinds.js';
import type { Place } from '../../place.js';
import { optionalSection, type Value } from '../../setting.js';
import { checkClientTls } from '../client-tls.js';

const cluster = optionalSection('The store is a cluster.', {
  nodes: list(
    'Addresses of some nodes; scopegate finds the others through them: redis://host:port, or rediss:// for TLS to all of them.',
  ).required(),
});

const sentinel = optionalSection(
  'The store is a master that Redis Sentinel names. scopegate follows when the sentinels name another master.',
  {
    nodes: list(
      'Addresses of the sentinels: redis://host:26379, or rediss:// for TLS to them and to the store.',
    ).required(),
    master: text('Name of the master at the sentinels.').required(),
    database: integer('Number of the database.', 0),
    username: text('User name at the sentinels.'),
    passwordFile: path(
      'File with the password for the sentinels. They do not get the credentials of the store.',
    ),
  },
);

type Cluster = Value<typeof cluster>;
type Sentinel = Value<typeof sentinel>;

/** `introspection.cache.shared`: the store that several gateways share. The timeout is in milliseconds. */
export const sharedStore = optionalSection('A second tier that several gateways share. Absent: none.', {
  url: text(
    'Address of the store, one server of Redis or Valkey: redis://host:port/database, rediss:// for TLS, or redis+unix:///path/of.sock?database=1 for its Unix socket. This, cluster or sentinel is required.',
  ),
  cluster,
  sentinel,
  keyFile: cipherKey(
    'File with the key that encrypts answers in the store (AES-256-GCM): 32 bytes in base64 or hexadecimal digits. All gateways need the same key. scopegate reads it again when it changes.',
  ).required(),
  previousKeyFile: cipherKey(
    'File with the other key while the key is replaced: first the next one, then the previous one. scopegate also reads answers that it encrypted, and tells the other gateways of purges with both keys.',
  ),
  username: text('User name at the store.'),
  passwordFile: secretFile('File with the password for the store.'),
  ca: file(
    'PEM file of the certificate authorities to trust, for rediss. Absent: as for introspection.tls.ca.',
  ),
  prefix: text('Prefix of all keys in the store.', 'scopegate'),
  timeout: limit(
    'Longest time that a request waits for the store before scopegate asks the authorization server.',
    '50ms',
  ),
  wait: duration(
    'Longest time that a request waits for another gateway that introspects the same token. With 0s each gateway introspects by itself.',
    '1s',
  ),
}).as(({ url, cluster, sentinel, keyFile, previousKeyFile, passwordFile: password, ...rest }, place) => {
  if (password === undefined) refuseUser(rest.username, place);
  checkClientTls(rest, place);
  // New entries are encrypted with the first key.
  const keys: readonly [() => Buffer, ...(() => Buffer)[]] =
    previousKeyFile === undefined ? [keyFile] : [keyFile, previousKeyFile];
  return {
    ...rest,
    place: settlePlace(url, cluster, sentinel, place),
    keys,
    ...(password === undefined ? {} : { password }),
  };
});

/** A key of 32 bytes. It is read at each use. */
function cipherKey(description: string) {
  return path(description).as((name, place) => openFile(name, place, readCipherKey, () => Buffer.alloc(0)));
}

/** Determines where the store is. Exactly one of the settings for that must be present. */
function settlePlace(
  url: string | undefined,
  cluster: Cluster,
  sentinel: Sentinel,
  place: Place,
): StorePlace {
  if ([url, cluster, sentinel].filter((each) => each !== undefined).length !== 1) {
    place.problem('must have one of the fields "url", "cluster" and "sentinel"', 'missing-field');
  }
  if (url !== undefined) {
    if (url.startsWith('redis+unix:')) return settleSocket(url, place.at('url'));
    checkAddress(url, place.at('url'), true);
    return { kind: 'single', url };
  }
  if (sentinel === undefined) {
    const nodes = cluster?.nodes ?? [];
    checkAddresses(nodes, place.at('cluster', 'nodes'));
    return { kind: 'cluster', nodes };
  }
  const at = place.at('sentinel');
  const { passwordFile, ...rest } = sentinel;
  checkAddresses(rest.nodes, at.at('nodes'));
  if (passwordFile === undefined) {
    refuseUser(rest.username, at);
    return { kind: 'sentinel', ...rest };
  }
  const password = openSecret(passwordFile, at.at('passwordFile'));
  return { kind: 'sentinel', ...rest, password: () => password.reveal() };
}

/** Reads the address of a store that listens on a Unix socket of this machine. */
function settleSocket(url: string, place: Place): StorePlace {
  const [, encoded = '', database = '0'] =
    /^redis\+unix:\/\/(\/[^?#]+)(?:\?database=(\d{1,5}))?$/.exec(url) ?? [];
  const path = pathOf(encoded);
  if (path === '') {
    place.problem('must be redis+unix:///path/of.sock, optionally with ?database=1');
  }
  return { kind: 'socket', path, database: Number(database) };
}

/** @returns the path; empty if it is not encoded as a path in a URL (RFC 3986 §2.1) */
function pathOf(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch {
    return '';
  }
}

/** Refuses a user without a password, which is a mistake. */
function refuseUser(username: string | undefined, place: Place): void {
  if (username !== undefined)
    place.at('username').problem('has no effect unless passwordFile is set; set passwordFile, or remove it');
}

function checkAddresses(urls: readonly string[], place: Place): void {
  urls.forEach((url, index) => {
    checkAddress(url, place.at(index), false);
  });
  if (['redis:', 'rediss:'].every((scheme) => urls.some((url) => url.startsWith(scheme)))) {
    place.problem('must be all redis:// or all rediss://');
  }
}

/** @param database whether the address may name a database */
function checkAddress(url: string, place: Place, database: boolean): void {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !/^rediss?:$/.test(parsed.protocol) || parsed.hostname === '') {
    place.problem('must be redis://host:port or rediss://host:port');
  } else if (parsed.username !== '' || parsed.password !== '') {
    place.problem('must not contain credentials; use passwordFile');
  } else if (!database && /[^/]/.test(parsed.pathname)) {
    place.problem('must not name a database');
  }
}
