import { hostname } from 'node:os';
import { nearest } from '../../document/nearest.js';
import type { ClientConnection, Session } from '../../model/mutator.js';
import { COOKIE_VALUE } from '../../parse/cookies.js';
import { fieldValues } from '../../parse/fields.js';
import { TOKEN } from '../../parse/grammar.js';
import { CERTIFICATE_FIELDS } from '../possession/certificate.js';
import { alternativeNames, distinguishedName, type NameKind } from './certificate-names.js';
import { parseTimeFormat, type TimeFormat } from './envoy-time.js';

import { type Expression, type Template, TemplateError, type UnfitForCookie } from './template.js';

/** Returns the value of a command for one request; undefined or empty if there is none. */
type Read = (session: Session) => string | undefined;

/**
 * Compiles the argument of a command.
 *
 * @param argument what stands in parentheses; undefined without them
 * @throws TemplateError if the command does not take it
 */
type Command = (argument: string | undefined) => Read;

/** `%NAME%`, `%NAME(argument)%` or `%NAME(argument):length%`. */
const COMMAND = /%([A-Z0-9_]+)(?:\(([^)]*)\))?(?::(\d+))?%/y;

const WHAT_ELSE = 'Remove it, or write the value itself';

/**
 * Parses a value in which Envoy replaces commands (`%REQ(X-Id)%`), as APIRule v2 has them.
 *
 * @throws TemplateError if it holds a command that is not served, or what looks like a template of a mutator
 */
export function parseEnvoyFormat(text: string): Template {
  if (text.includes('{{')) {
    throw new TemplateError('only a plain value is served, without {{; write the value itself');
  }
  const parts: (string | Expression)[] = [];
  let literal = '';
  for (let at = 0; at < text.length; ) {
    if (text[at] !== '%' || text[at + 1] === '%') {
      literal += text[at];
      at += text[at] === '%' ? 2 : 1;
      continue;
    }
    COMMAND.lastIndex = at;
    const found = COMMAND.exec(text);
    if (found === null) throw incomplete(text.slice(at));
    if (literal !== '') parts.push(literal);
    literal = '';
    const evaluate = compile(found);
    const inCookie = unfitForCookie(found);
    parts.push({ evaluate, json: false, ...(inCookie === undefined ? {} : { inCookie }) });
    at = COMMAND.lastIndex;
  }
  if (literal !== '') parts.push(literal);
  return { parts };
}

/** Whether a value names the client's certificate. */
export function namesCertificate(text: string): boolean {
  return /%DOWNSTREAM_PEER_/.test(text);
}

function compile([whole, name = '', argument, length]: readonly (string | undefined)[]): Read {
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) throw unserved(whole as string, name);
  let read: Read;
  try {
    read = command(argument);
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    throw new TemplateError(`${whole}: ${error.message}`);
  }
  if (length === undefined) return read;
  if (!CUT.has(name)) throw new TemplateError(`${whole}: ${name} takes no length; write %${name}%`);
  const most = Number(length);
  // The cut may fall behind a blank, which no field can end with.
  return (session) =>
    read(session)
      ?.slice(0, most)
      .replace(/[\t ]+$/, '');
}

const OF_CLIENT = 'a comma, a semicolon, a quotation mark or a backslash';

/**
 * What the values of commands can hold that a cookie cannot, by name. Those of all other commands always fit,
 * but for times: their format decides.
 */
const HOLDS: Readonly<Record<string, string>> = {
  REQ: OF_CLIENT,
  REQUEST_HEADER: OF_CLIENT,
  PATH: OF_CLIENT,
  DOWNSTREAM_PEER_SUBJECT: 'commas between its parts, and backslashes',
  DOWNSTREAM_PEER_ISSUER: 'commas between its parts, and backslashes',
  DOWNSTREAM_PEER_URI_SAN: 'commas between names',
  DOWNSTREAM_PEER_DNS_SAN: 'commas between names',
  DOWNSTREAM_PEER_EMAIL_SAN: 'commas between names',
  DOWNSTREAM_PEER_IP_SAN: 'commas between addresses',
};

/** Pseudo fields whose values have no such character, in lower case. */
const FIT_FIELDS: ReadonlySet<string> = new Set([
  ...[':method', ':authority', ':scheme', 'x-envoy-external-address'],
  ...['x-forwarded-host', 'x-forwarded-proto', 'x-request-id'],
]);

/** @param found what {@link compile} has accepted */
function unfitForCookie([command = '', name = '', argument = '']: readonly (string | undefined)[]):
  | UnfitForCookie
  | undefined {
  if (OF_TIME.has(name)) {
    // Whatever the time is, its parts are letters, digits and colons: only the text between them may not fit.
    const fits = COOKIE_VALUE.test(parseTimeFormat(argument)(0) as string);
    return fits
      ? undefined
      : { command, holds: 'a comma, a semicolon or the like in its format', always: true };
  }
  const holds = HOLDS[name];
  if (holds === undefined) return undefined;
  if (argument.split('?').every((field) => FIT_FIELDS.has(field.toLowerCase()))) return undefined;
  return { command, holds, always: false };
}

/** A `%` that begins no command. */
function incomplete(rest: string): TemplateError {
  const [, name] = /^%([A-Za-z][\w-]*)/.exec(rest) ?? [];
  const upper = name?.toUpperCase().replaceAll('-', '_');
  return new TemplateError(
    upper !== undefined && Object.hasOwn(COMMANDS, upper)
      ? `%${name} is no command of Envoy as it stands: write %${upper}%, or %% for the character %`
      : 'a % alone is no command of Envoy: write %%',
  );
}

/** Why Envoy's other commands are not served, by the beginning of their names. */
const REASONS: readonly (readonly [RegExp, string])[] = [
  [
    /^(UPSTREAM_|RESP|TRAILER|GRPC_|BYTES_|DURATION|.*_DURATION|ROUNDTRIP|LOCAL_REPLY|.*WIRE_BYTES|.*HEADER_BYTES|.*HEADERS_BYTES)/,
    'nobody knows it before the request is sent',
  ],
  [
    /^(DYNAMIC_METADATA|METADATA|CLUSTER_|FILTER_|VIRTUAL_|ROUTE_|PER_REQUEST|CEL|CUSTOM_FLAGS)/,
    'only filters of Envoy set it',
  ],
  [/^ENVIRONMENT/, 'the environment of a gateway holds secrets'],
];

function unserved(whole: string, name: string): TemplateError {
  const what = `${whole} is a command of Envoy that is not served`;
  const [, why] = REASONS.find(([names]) => names.test(name)) ?? [];
  if (why !== undefined) return new TemplateError(`${what}: ${why}. ${WHAT_ELSE}`);
  const close = nearest(name, Object.keys(COMMANDS));
  return new TemplateError(`${what}${close === undefined ? '.' : `; did you mean %${close}%?`} ${WHAT_ELSE}`);
}

/** A command without an argument. */
function plain(read: Read): Command {
  return (argument) => {
    if (argument !== undefined) throw new TemplateError('it takes no argument; leave out the parentheses');
    return read;
  };
}

/** A value of the connection. */
function ofClient(read: (client: ClientConnection) => string | undefined): Command {
  return plain(({ match: { client } }) => (client === undefined ? undefined : read(client)));
}

function ofCertificate(
  read: (certificate: NonNullable<ClientConnection['certificate']>) => string | undefined,
): Command {
  return ofClient(({ certificate }) => (certificate === undefined ? undefined : read(certificate)));
}

function names(kind: NameKind): Command {
  return ofCertificate((certificate) => alternativeNames(certificate, kind));
}

function time(read: (client: ClientConnection) => number | undefined): Command {
  return (format = '') => {
    const write: TimeFormat = parseTimeFormat(format);
    return ({ match: { client } }) => {
      const found = client === undefined ? undefined : read(client);
      return found === undefined ? undefined : write(found);
    };
  };
}

/**
 * Fields that say what only a proxy may say. Clients can send them too, so the value that a client sent must
 * not become one that the upstream trusts.
 */
const OF_PROXIES = /^(forwarded|x-forwarded-.*|x-real-ip|x-envoy-.*)$/;

function ofField(name: string): Read {
  const lower = name.toLowerCase();
  const own = Object.hasOwn(OWN, lower) ? OWN[lower] : undefined;
  if (own !== undefined) return own;
  if (!TOKEN.test(name)) {
    throw new TemplateError(
      `"${name}" is not the name of a header field; write REQ(NAME) or REQ(NAME?OTHER)`,
    );
  }
  if (OF_PROXIES.test(lower) || (CERTIFICATE_FIELDS as readonly string[]).includes(lower)) {
    throw new TemplateError(
      `a client can write anything into ${name}; write a command that says what scopegate knows, such as ` +
        '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% or %DOWNSTREAM_PEER_SUBJECT%',
    );
  }
  return ({ match }) => fieldValues(match.rawHeaders, name)[0];
}

/** Envoy's pseudo fields, and fields that scopegate sets itself: their values are never those of a client. */
const OWN: Readonly<Record<string, Read>> = {
  ':method': ({ match }) => match.method,
  ':authority': ({ match }) => match.host,
  ':path': ({ match }) => match.path + match.query,
  ':scheme': ({ match }) => match.client?.scheme,
  'x-envoy-external-address': ({ match }) => match.client?.address,
  'x-forwarded-for': forwardedFor,
  'x-forwarded-host': ({ match }) => match.host,
  'x-forwarded-proto': ({ match }) => match.client?.scheme,
  'x-request-id': ({ match }) => match.client?.requestId,
};

/** What a trusted proxy says of the hops before it, and the peer. */
function forwardedFor({ match }: Session): string | undefined {
  const { peer } = match.client ?? {};
  if (peer === undefined) return undefined;
  return [...(peer.trusted ? fieldValues(match.rawHeaders, 'x-forwarded-for') : []), peer.address].join(', ');
}

/** `%REQ(X?Y)%`: the field X, or Y if the request has no X. */
const field: Command = (argument) => {
  const [first = '', second, ...more] = (argument ?? '').split('?');
  if (first === '' || more.length > 0) {
    throw new TemplateError('it needs the name of a header field; write REQ(NAME) or REQ(NAME?OTHER)');
  }
  const read = ofField(first);
  if (second === undefined) return read;
  const other = ofField(second);
  return (session) => read(session) ?? other(session);
};

const path: Command = (argument = '') => {
  const [query = '', source = ''] = argument.split(':');
  if (!/^(WQ|NQ)?$/.test(query) || !/^(PATH|ORIG_OR_PATH)?$/.test(source)) {
    throw new TemplateError('it takes WQ (with the query) or NQ (without); write %PATH(NQ)%');
  }
  return ({ match }) => match.path + (query === 'NQ' ? '' : match.query);
};

/** The address and the port, as Envoy writes them. */
function withPort(address: string, port: number): string | undefined {
  if (address === '') return undefined;
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** The port is known only if the client is the peer itself. Envoy then writes 0. */
function portOf({ address, peer }: ClientConnection): number {
  return address === peer.address ? (peer.port ?? 0) : 0;
}

const hex = (fingerprint: string): string => fingerprint.replaceAll(':', '').toLowerCase();

/** The commands of Envoy that are served, by name. `docs/rules.md` lists them. */
const COMMANDS: Readonly<Record<string, Command>> = {
  REQ: field,
  REQUEST_HEADER: field,
  PATH: path,
  PROTOCOL: ofClient(({ version }) => (version === '2.0' ? 'HTTP/2' : version && `HTTP/${version}`)),
  START_TIME: time(({ now }) => now * 1000),
  HOSTNAME: plain(() => hostname()),
  REQUESTED_SERVER_NAME: ofClient(({ tls }) => tls?.serverName),
  DOWNSTREAM_REMOTE_ADDRESS: ofClient((client) => withPort(client.address, portOf(client))),
  DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: ofClient(({ address }) => address),
  DOWNSTREAM_REMOTE_PORT: ofClient((client) => String(portOf(client))),
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS: ofClient(({ peer }) => withPort(peer.address, peer.port ?? 0)),
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT: ofClient(({ peer }) => peer.address),
  DOWNSTREAM_DIRECT_REMOTE_PORT: ofClient(({ peer }) => String(peer.port ?? 0)),
  DOWNSTREAM_TLS_VERSION: ofClient(({ tls }) => tls?.version),
  DOWNSTREAM_TLS_CIPHER: ofClient(({ tls }) => tls?.cipher),
  DOWNSTREAM_PEER_SUBJECT: ofCertificate(({ subject }) => distinguishedName(subject)),
  DOWNSTREAM_PEER_ISSUER: ofCertificate(({ issuer }) => distinguishedName(issuer)),
  DOWNSTREAM_PEER_URI_SAN: names('URI'),
  DOWNSTREAM_PEER_DNS_SAN: names('DNS'),
  DOWNSTREAM_PEER_EMAIL_SAN: names('email'),
  DOWNSTREAM_PEER_IP_SAN: names('IP Address'),
  DOWNSTREAM_PEER_SERIAL: ofCertificate(({ serialNumber }) => serialNumber.toLowerCase()),
  DOWNSTREAM_PEER_FINGERPRINT_256: ofCertificate(({ fingerprint256 }) => hex(fingerprint256)),
  DOWNSTREAM_PEER_FINGERPRINT_1: ofCertificate(({ fingerprint }) => hex(fingerprint)),
  DOWNSTREAM_PEER_CERT: ofCertificate((certificate) => encodeURIComponent(certificate.toString())),
  DOWNSTREAM_PEER_CERT_V_START: time(({ certificate }) => certificate && Date.parse(certificate.validFrom)),
  DOWNSTREAM_PEER_CERT_V_END: time(({ certificate }) => certificate && Date.parse(certificate.validTo)),
};

/** The commands that write a time. */
const OF_TIME: ReadonlySet<string> = new Set([
  'START_TIME',
  'DOWNSTREAM_PEER_CERT_V_START',
  'DOWNSTREAM_PEER_CERT_V_END',
]);

/** The commands after which a length may stand. */
const CUT: ReadonlySet<string> = new Set(['REQ', 'REQUEST_HEADER', 'PATH']);
