import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import {
  createSecureContext,
  DEFAULT_CIPHERS,
  DEFAULT_ECDH_CURVE,
  type SecureContext,
  type SecureContextOptions,
} from 'node:tls';
import { readPemFile } from '../model/text-file.js';
import { CURVES, SUITES, weakElements } from './suites.js';

/** Files of one certificate. */
export interface CertificateFiles {
  /** PEM: the certificate, then its intermediate certificates. */
  readonly cert: string;
  readonly key: string;
  /** PEM of further intermediate certificates to send. */
  readonly ca?: string;
}

/** Files and limits of a TLS listener. */
export interface TlsFiles extends CertificateFiles {
  /** Further certificates, chosen by the name a client asks for (RFC 6066 §3). */
  readonly certificates: readonly NamedCertificate[];
  readonly clientCertificates: 'none' | 'optional' | 'required' | 'unverified';
  /** PEM of the authorities that client certificates are verified by. */
  readonly clientCa?: string;
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
  /** In OpenSSL's notation; undefined for those of {@link SUITES}. */
  readonly ciphers?: string;
  /** Accepts Node's own suites and curves instead. */
  readonly insecureOlderClients?: boolean;
}

/** A certificate for some of the hosts. */
export interface NamedCertificate extends CertificateFiles {
  /** Exact names or `*.suffix`, in place of those in the certificate. */
  readonly serverNames?: readonly string[];
}

/** A certificate that can be shown. */
export interface Shown {
  readonly certificate: X509Certificate;
  /** Undefined where the certificate's own count. */
  readonly serverNames: readonly string[] | undefined;
  readonly context: SecureContext;
}

/** What a listener shows and whom it trusts. */
export interface Identity {
  /** For clients that ask for no name, or for one nobody has a certificate for. */
  readonly options: SecureContextOptions;
  /** The one of {@link options} first. */
  readonly shown: readonly Shown[];
  /** When the first certificate ends, in seconds since 1970. */
  readonly expiresAt: number;
}

/** Files that make no identity; the message names the file, and holds nothing of what is in it. */
export class UnusableIdentity extends Error {
  /** The setting at fault, below the listener's `tls`. */
  readonly path: readonly (string | number)[];
  constructor(path: readonly (string | number)[], message: string) {
    super(message);
    this.name = 'UnusableIdentity';
    this.path = path;
  }
}

/**
 * Reads a listener's identity and proves that it can be served: every key belongs to its certificate.
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
 * Finds the setting of a listener that accepts suites without forward secrecy or authenticated encryption, so that the
 * log can warn of it.
 *
 * @param section of the listener, such as `listen.proxy.tls`
 * @returns its name, and which elements of `ciphers` it is; undefined if there is none
 */
export function insecureSuites(
  { ciphers, insecureOlderClients }: TlsFiles,
  section: string,
): { readonly setting: string; readonly suites?: readonly string[] } | undefined {
  if (insecureOlderClients === true) return { setting: `${section}.insecureOlderClients` };
  const suites = ciphers === undefined ? [] : weakElements(ciphers);
  return suites.length === 0 ? undefined : { setting: `${section}.ciphers`, suites };
}

/** The certificate for a name: one that has it as it is goes before a wildcard, the first before others. */
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
  const certificate = attempt([...path, 'cert'], files.cert, 'holds no certificate', (text) => {
    return new X509Certificate(text);
  });
  const key = attempt(
    [...path, 'key'],
    files.key,
    'holds no private key without a passphrase',
    (text): KeyObject => {
      return createPrivateKey(text);
    },
  );
  if (!certificate.checkPrivateKey(key)) {
    throw new UnusableIdentity([...path, 'key'], `${files.key} is not the key of ${files.cert}`);
  }
  // What OpenSSL is given as `ca` it trusts clients by: what is only to be sent goes with the certificate.
  const chain =
    files.ca === undefined
      ? readPemFile(files.cert)
      : `${readPemFile(files.cert)}\n${attempt([...path, 'ca'], files.ca, 'holds no certificate', certificatesIn)}`;
  const options = { ...common, cert: chain, key: key.export({ type: 'pkcs8', format: 'pem' }) };
  try {
    return { certificate, serverNames: files.serverNames, options, context: createSecureContext(options) };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const cipher = code === 'ERR_SSL_NO_CIPHER_MATCH';
    throw new UnusableIdentity(
      cipher ? ['ciphers'] : [...path, 'cert'],
      cipher ? 'none of the ciphers is known' : `${files.cert} cannot be served (${code ?? 'unknown'})`,
    );
  }
}

const PEM_CERTIFICATE = /-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE)-----[^-]+-----END \1-----/g;

function authorities(file: string): string {
  return attempt(['clientCa'], file, 'holds no certificate', certificatesIn);
}

/**
 * The text, if every certificate in it is one. OpenSSL passes over what is none, and would then trust nobody, or not all
 * that are meant.
 *
 * @param text PEM
 * @throws Error where there is none, or one that cannot be read
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
    throw new UnusableIdentity(path, `${file} cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
  try {
    return read(text);
  } catch {
    // The library's message may quote what it choked on.
    throw new UnusableIdentity(path, `${file} ${problem}`);
  }
}
