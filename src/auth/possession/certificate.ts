import { hash, X509Certificate } from 'node:crypto';
import type { AddressedRequest } from '../../model/possession.js';
import { singleField } from '../../parse/fields.js';

/**
 * A header field in which a proxy that terminates TLS passes its client's certificate. Each name implies a
 * format.
 */
export type CertificateField = keyof typeof READERS;

/**
 * The fields that scopegate can read: RFC 9440's, Envoy's and Istio's, Traefik's, and the one in common use
 * with nginx (`$ssl_client_escaped_cert`). scopegate never sends any of them upstream.
 */
const READERS = {
  'client-cert': fromByteSequence,
  'x-forwarded-client-cert': fromEnvoy,
  'x-forwarded-tls-client-cert': fromEscapedPem,
  'x-ssl-client-cert': fromEscapedPem,
} as const;

/** Their names, for the settings. */
export const CERTIFICATE_FIELDS = Object.keys(READERS) as CertificateField[];

/**
 * The SHA-256 thumbprint (`x5t#S256`, RFC 8705 §3.1) of the certificate that the client of a request has
 * shown.
 *
 * For a request from a trusted proxy, only `field` counts: the certificate of the connection is the proxy's
 * own. For any other peer, only the certificate of its own connection counts, and `field` is ignored.
 *
 * @param field undefined if no proxy passes certificates
 * @returns undefined if there is no certificate, or more than one
 */
export function thumbprintOf(
  request: AddressedRequest,
  field: CertificateField | undefined,
): string | undefined {
  const { peer } = request;
  return field === undefined || peer?.trusted !== true
    ? peer?.thumbprint
    : passedOn(request, field)?.thumbprint;
}

/**
 * The certificate of the client that sent a request, for what its names say. An authority has signed it: one
 * that the listener trusts, or one that the proxy before it does.
 *
 * The certificate of a trusted proxy's own connection is never the client's.
 *
 * @param field undefined if no proxy passes certificates
 * @returns undefined if there is no certificate, or more than one, or if `field` holds only its thumbprint
 */
export function certificateOf(
  request: AddressedRequest,
  field: CertificateField | undefined,
): X509Certificate | undefined {
  const { peer } = request;
  if (peer?.trusted !== true) return peer?.certificate;
  return field === undefined ? undefined : passedOn(request, field)?.certificate;
}

/** What a proxy says of its client's certificate. */
interface PassedOn {
  readonly thumbprint: string;
  readonly certificate?: X509Certificate;
}

function passedOn({ fields }: AddressedRequest, field: CertificateField): PassedOn | undefined {
  const value = singleField(fields, field);
  return typeof value === 'string' ? READERS[field](value.trim()) : undefined;
}

/** Reads RFC 9440 §2.2: a byte sequence of Structured Fields. */
function fromByteSequence(value: string): PassedOn | undefined {
  return value.startsWith(':') && value.endsWith(':') && value.length > 2
    ? ofDer(value.slice(1, -1))
    : undefined;
}

/**
 * Reads one element, from one proxy: `Hash=…;Cert="…"`. Several elements would be the certificates of several
 * hops.
 */
function fromEnvoy(value: string): PassedOn | undefined {
  const pairs = new Map<string, string>();
  const pair = /([A-Za-z]+)=(?:"((?:[^"\\]|\\.)*)"|([^",;]*))(;|$)/y;
  while (pair.lastIndex < value.length) {
    const match = pair.exec(value);
    if (match === null) return undefined;
    const name = (match[1] as string).toLowerCase();
    // An element may hold several URIs and DNS names, but only one hash.
    if (name === 'hash' && pairs.has(name)) return undefined;
    pairs.set(name, match[2] ?? match[3] ?? '');
  }
  const escaped = pairs.get('cert');
  const whole = escaped === undefined ? undefined : fromEscapedPem(escaped);
  const digest = pairs.get('hash');
  if (digest === undefined) return whole;
  if (!/^[0-9a-fA-F]{64}$/.test(digest)) return undefined;
  const thumbprint = Buffer.from(digest, 'hex').toString('base64url');
  return whole?.thumbprint === thumbprint ? whole : { thumbprint };
}

/**
 * Reads PEM with percent-escapes, with or without its first and last line. In a chain, the first certificate
 * counts.
 */
function fromEscapedPem(value: string): PassedOn | undefined {
  let text: string;
  try {
    text = decodeURIComponent(value);
  } catch {
    return undefined;
  }
  const body = /^(?:-----BEGIN CERTIFICATE-----)?([A-Za-z0-9+/=\s]+)/.exec(text)?.[1];
  return body === undefined ? undefined : ofDer(body.replace(/\s/g, ''));
}

function ofDer(base64: string): PassedOn | undefined {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) return undefined;
  const der = Buffer.from(base64, 'base64');
  try {
    const certificate = new X509Certificate(der);
    return certificate.raw.equals(der)
      ? { thumbprint: hash('sha256', der, 'base64url'), certificate }
      : undefined;
  } catch {
    return undefined;
  }
}
