import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import {
  createSecureContext,
  DEFAULT_CIPHERS,
  DEFAULT_ECDH_CURVE,
  type SecureContext,
  type SecureContextOptions,
} from 'node:tls';
import { fileProblem } from '../model/file-error.js';
import { readPemFile } from '../model/text-file.js';
import { CURVES, SUITES, weakElements } from './suites.js';

/** The files of one certificate. */
export interface CertificateFiles {
  /** PEM: the certificate, then its intermediate certificates. */
  readonly cert: string;
  readonly key: string;
  /** A PEM file with further intermediate certificates to send. */
  readonly ca?: string;
}

/** The files and limits of a TLS listener. */
export interface TlsFiles extends CertificateFiles {
  /** Further certificates. The listener chooses one by the name that the client sends in SNI (RFC 6066 §3). */
  readonly certificates: readonly NamedCertificate[];
  readonly clientCertificates: 'none' | 'optional' | 'required' | 'unverified';
  /** A PEM file of the authorities that client certificates are verified with. */
  readonly clientCa?: string;
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
  /** The cipher list in OpenSSL's notation; if undefined, {@link SUITES} applies. */
  readonly ciphers?: string;
  /** Whether Node's default suites and curves are accepted instead. */
  readonly insecureOlderClients?: boolean;
}

/** A certificate for some of the host names. */
export interface NamedCertificate extends CertificateFiles {
  /** Exact names or `*.suffix`. They replace the names in the certificate. */
  readonly serverNames?: readonly string[];
}

/** A certificate that the listener can present. */
export interface Shown {
  readonly certificate: X509Certificate;
  /** Undefined if the names in the certificate apply. */
  readonly serverNames: readonly string[] | undefined;
  readonly context: SecureContext;
}

/** The certificates that a listener presents, and the authorities it trusts. */
export interface Identity {
  /** The default certificate: for clients without SNI, or with a name that no certificate matches. */
  readonly options: SecureContextOptions;
  /** All certificates; the default certificate of {@link options} is first. */
  readonly shown: readonly Shown[];
  /** When the first certificate expires, in seconds since 1970. */
  readonly expiresAt: number;
}

/** The files cannot be used for a TLS listener. The message names the file, but quotes nothing from it. */
export class UnusableIdentity extends Error {
  /** The setting that is wrong, as a path below the listener's `tls`. */
  readonly path: readonly (string | number)[];
  constructor(path: readonly (string | number)[], message: string) {
    super(message);
    this.name = 'UnusableIdentity';
    this.path = path;
  }
}

/**
 * Reads the files of a listener, and checks that it can serve with them: every key must belong to its
 * certificate.
 *
 * @throws UnusableIdentity
 */
export function readIdentity(files: TlsFiles): Identity {
  const common: SecureContextOptions = {
    minVersion: files.minVersion,
    ...(files.insecureOlderClients === true
      ? { ciphers: DEFAULT_CIPHERS, ecdhCurve: DEFAULT_ECDH_CURVE }
      : { ciphers: files.ciphers ?? SUITES, ecdhCurve: CURVES }),
    ...(files.clientCa === undefined ? {} : { ca: authorities(files.clientCa) }),
  };
  const first = shown(files, [], common);
  const others = files.certificates.map((each, index) => shown(each, ['certificates', index], common));
  const all = [first, ...others];
  return {
    options: first.options,
    shown: all.map(({ certificate, serverNames, context }) => ({ certificate, serverNames, context })),
    expiresAt: Math.min(...all.map(({ certificate }) => Date.parse(certificate.validTo) / 1000)),
  };
}

/**
 * Finds the setting of a listener that accepts suites without forward secrecy or authenticated encryption, so
 * that the log can warn of it.
 *
 * @param section the listener's section, such as `listen.proxy.tls`
 * @returns the name of the setting, and the elements of `ciphers` that are weak; undefined if there is none
 */
export function insecureSuites(
  { ciphers, insecureOlderClients }: TlsFiles,
  section: string,
): { readonly setting: string; readonly suites?: readonly string[] } | undefined {
  if (insecureOlderClients === true) return { setting: `${section}.insecureOlderClients` };
  const suites = ciphers === undefined ? [] : weakElements(ciphers);
  return suites.length === 0 ? undefined : { setting: `${section}.ciphers`, suites };
}

/**
 * Finds the certificate for a name. An exact match takes precedence over a wildcard; among equal matches, the
 * first one wins.
 */
export function certificateFor({ shown }: Identity, name: string): Shown | undefined {
  return shown.find((each) => covers(each, name, false)) ?? shown.find((each) => covers(each, name, true));
}

function covers({ certificate, serverNames }: Shown, name: string, wildcards: boolean): boolean {
  if (serverNames === undefined) {
    return certificate.checkHost(name, { wildcards, partialWildcards: false }) !== undefined;
  }
  const lower = name.toLowerCase();
  if (!wildcards) return serverNames.some((each) => each.toLowerCase() === lower);
  const dot = lower.indexOf('.');
  return dot > 0 && serverNames.some((each) => each.toLowerCase() === `*${lower.slice(dot)}`);
}

function shown(
  files: NamedCertificate,
  path: readonly (string | number)[],
  common: SecureContextOptions,
): Shown & { readonly options: SecureContextOptions } {
  const certificate = attempt([...path, 'cert'], files.cert, 'does not contain a certificate', (text) => {
    return new X509Certificate(text);
  });
  const key = attempt(
    [...path, 'key'],
    files.key,
    'does not contain a private key without a passphrase',
    (text): KeyObject => {
      return createPrivateKey(text);
    },
  );
  if (!certificate.checkPrivateKey(key)) {
    throw new UnusableIdentity([...path, 'key'], `${files.key} is not the key of ${files.cert}`);
  }
  // OpenSSL trusts every certificate in `ca` for client authentication. Certificates that are only to be sent
  // are therefore appended to the server's certificate.
  const chain =
    files.ca === undefined
      ? readPemFile(files.cert)
      : `${readPemFile(files.cert)}\n${attempt([...path, 'ca'], files.ca, 'does not contain a certificate', certificatesIn)}`;
  const options = { ...common, cert: chain, key: key.export({ type: 'pkcs8', format: 'pem' }) };
  try {
    return { certificate, serverNames: files.serverNames, options, context: createSecureContext(options) };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const cipher = code === 'ERR_SSL_NO_CIPHER_MATCH';
    throw new UnusableIdentity(
      cipher ? ['ciphers'] : [...path, 'cert'],
      cipher ? 'no cipher in the list is known' : `${files.cert} cannot be used (${code ?? 'unknown'})`,
    );
  }
}

const PEM_CERTIFICATE = /-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE)-----[^-]+-----END \1-----/g;

function authorities(file: string): string {
  return attempt(['clientCa'], file, 'does not contain a certificate', certificatesIn);
}

/**
 * Checks that every certificate in a text can be parsed. OpenSSL ignores those that it cannot parse, so it
 * would trust fewer authorities than intended, or none.
 *
 * @param text PEM
 * @returns the same text
 * @throws Error if there is no certificate, or one that cannot be parsed
 */
export function certificatesIn(text: string): string {
  const all = text.match(PEM_CERTIFICATE) ?? [];
  if (all.length === 0) throw new Error('there is no certificate');
  for (const each of all) new X509Certificate(each);
  return text;
}

function attempt<T>(
  path: readonly (string | number)[],
  file: string,
  problem: string,
  read: (text: string) => T,
): T {
  let text: string;
  try {
    text = readPemFile(file);
  } catch (error) {
    throw new UnusableIdentity(path, `${file} ${fileProblem(error)}`);
  }
  try {
    return read(text);
  } catch {
    // The library's message may quote the content that it could not read.
    throw new UnusableIdentity(path, `${file} ${problem}`);
  }
}
