import { isIPv6 } from 'node:net';
import { readIdentity, type TlsFiles, UnusableIdentity } from '../../tls/identity.js';
import { choice, file, flag, integer, list, text } from '../kinds.js';
import type { Place } from '../place.js';
import { entries, optionalSection, section, type Value } from '../setting.js';

const certificate = {
  cert: file('PEM file of the certificate, followed by its intermediate certificates.').required(),
  key: file("PEM file of the certificate's private key.").required(),
  ca: file('PEM file of further intermediate certificates to send.'),
};

const tls = optionalSection('Serve TLS. Absent: plain HTTP.', {
  ...certificate,
  certificates: entries(
    'Further certificates. Each has `cert`, `key`, and optionally `ca` as above and `serverNames`. A client gets the certificate for the name that it asks for (SNI). The names are those in the certificate, or `serverNames`: exact, or *.suffix for one label.',
    {
      ...certificate,
      serverNames: list('Names for which scopegate sends this certificate, instead of those in it.'),
    },
  ),
  clientCertificates: choice(
    'Client certificates. none: scopegate does not request any. optional: a client may send one, which an authority in clientCa must have signed. required: a client must send such a certificate. unverified: a client may send any certificate; it only proves possession of the key that a token is bound to (RFC 8705).',
    ['none', 'optional', 'required', 'unverified'],
    'none',
  ),
  clientCa: file('PEM file of the certificate authorities that must have signed client certificates.'),
  minVersion: choice('Lowest TLS version accepted.', ['TLSv1.2', 'TLSv1.3'], 'TLSv1.2'),
  ciphers: text(
    "Accepted cipher suites, in OpenSSL's notation. Absent: those of Mozilla's intermediate configuration, all with forward secrecy and authenticated encryption.",
  ),
  insecureOlderClients: flag(
    "Accept all cipher suites and curves that Node accepts by default, including plain RSA and CBC. Clients from before about 2014 need them. Insecure: an attacker who gets the server's key can decrypt recorded traffic of such a client.",
    false,
  ),
}).check((files, place) => {
  if (files.insecureOlderClients && files.ciphers !== undefined) {
    place.at('insecureOlderClients').problem('has no effect if ciphers is set; remove one of them');
  }
  checkClientCa(files, place);
  if (place.sound) checkIdentity(files, place);
});

function checkClientCa(files: TlsFiles, place: Place): void {
  const { clientCertificates, clientCa } = files;
  const verified = verifiesClients(files);
  if (verified && clientCa === undefined) place.missing('clientCa');
  else if (!verified && clientCa !== undefined) {
    place
      .at('clientCa')
      .problem(
        `has no effect unless clientCertificates is optional or required, and it is ${clientCertificates}; change it, or remove clientCa`,
      );
  }
}

function checkIdentity(files: TlsFiles, place: Place): void {
  try {
    readIdentity(files);
  } catch (error) {
    if (!(error instanceof UnusableIdentity)) throw error;
    const culprit = place.at(...error.path);
    culprit.error(`${culprit.name}: ${error.message}`, 'unusable-file');
  }
}

function address(host: string, port: number) {
  return {
    host: text('Address to listen on: an IP address or a name of this host.', host).check((name, place) => {
      if (/[/\s[\]]/.test(name) || (name.includes(':') && !isIPv6(name))) {
        place.problem('must be an IP address or a name, without scheme, brackets and port');
      }
    }),
    port: integer('TCP port to listen on; 0 means any free port.', port, 0, 65_535),
    tls,
  };
}

const reusePort = flag(
  'Share the port with other processes that also set this (SO_REUSEPORT). The kernel spreads new connections over them. Needs Linux, and Node 22.12, 23.1 or later.',
  false,
).check((wanted, place) => {
  if (!wanted) return;
  if (process.platform !== 'linux') place.problem(`needs Linux, but this system is ${process.platform}`);
  else if (!canReusePort(process.versions.node)) {
    place.problem(`needs Node 22.12, 23.1 or later, and this is ${process.versions.node}`);
  }
});

/**
 * Whether a version of Node has the option `reusePort` of `server.listen`. An older version ignores the
 * option, and a second process could then not listen on the port.
 *
 * @param version such as `22.12.0`
 */
export function canReusePort(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > 23 || (major === 23 && minor >= 1) || (major === 22 && minor >= 12);
}

/** `listen`: the ports of the gateway. */
export const listen = section('Where scopegate listens.', {
  proxy: section('The port for the traffic that scopegate protects.', {
    ...address('0.0.0.0', 4455),
    reusePort,
  }),
  admin: section('The port for health, metrics, rules and decisions.', address('127.0.0.1', 4456)),
}).check(({ proxy, admin }, place) => {
  if (proxy.port === admin.port && proxy.port !== 0) {
    place.at('admin', 'port').problem('must differ from listen.proxy.port');
  }
});

/** One address to listen on. */
export type Listener = Value<typeof listen>['admin'];

/** Whether a listener verifies client certificates with the authorities of the settings. */
export function verifiesClients(tls: Pick<TlsFiles, 'clientCertificates'> | undefined): boolean {
  return tls?.clientCertificates === 'optional' || tls?.clientCertificates === 'required';
}
