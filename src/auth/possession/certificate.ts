import { hash, X509Certificate } from 'node:crypto';
import type { AddressedRequest } from '../../model/possession.js';
import { singleField } from '../../parse/fields.js';

/** A field in which a TLS terminator passes its client's certificate; the name says in which form. */
export type CertificateField = keyof typeof READERS;

/**
 * The fields that are known: RFC 9440's, Envoy's and Istio's, Traefik's, and the one in common use with nginx
 * (`$ssl_client_escaped_cert`). None of them ever goes upstream.
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
 * The SHA-256 thumbprint (`x5t#S256`, RFC 8705 §3.1) of the certificate a request's client has shown.
 *
 * A trusted proxy speaks for its client in `field` and nowhere else: the certificate of its own connection is the
 * proxy's. Anybody else has what their own connection has shown, and their copies of the field mean nothing.
 *
 * @param field undefined where no proxy passes certificates
 * @returns undefined where there is none, or more than one
 */
export function thumbprintOf(
  request: AddressedRequest,
  field: CertificateField | undefined,
): string | undefined {
  const { peer, fields } = request;
  if (field === undefined || peer?.trusted !== true) return peer?.thumbprint;
  const value = singleField(fields, field);
  return typeof value === 'string' ? READERS[field](value.trim()) : undefined;
}

/** RFC 9440 §2.2: a byte sequence of Structured Fields. */
function fromByteSequence(value: string): string | undefined {
  return value.startsWith(':') && value.endsWith(':') && value.length > 2
    ? ofDer(value.slice(1, -1))
    : undefined;
}

/** One element, of one proxy: `Hash=…;Cert="…"`. More elements are the certificates of several hops. */
function fromEnvoy(value: string): string | undefined {
  const pairs = new Map<string, string>();
  const pair = /([A-Za-z]+)=(?:"((?:[^"\\]|\\.)*)"|([^",;]*))(;|$)/y;
  while (pair.lastIndex < value.length) {
    const match = pair.exec(value);
    if (match === null) return undefined;
    const name = (match[1] as string).toLowerCase();
    // A certificate may have several URIs and names; only one digest.
    if (name === 'hash' && pairs.has(name)) return undefined;
    pairs.set(name, match[2] ?? match[3] ?? '');
  }
  const digest = pairs.get('hash');
  if (digest !== undefined) {
    return /^[0-9a-fA-F]{64}$/.test(digest) ? Buffer.from(digest, 'hex').toString('base64url') : undefined;
  }
  const escaped = pairs.get('cert');
  return escaped === undefined ? undefined : fromEscapedPem(escaped);
}

/** PEM with percent-escapes, with its first and last line or without them; of a chain the first one. */
function fromEscapedPem(value: string): string | undefined {
  let text: string;
  try {
    text = decodeURIComponent(value);
  } catch {
    return undefined;
  }
  const body = /^(?:-----BEGIN CERTIFICATE-----)?([A-Za-z0-9+/=\s]+)/.exec(text)?.[1];
  return body === undefined ? undefined : ofDer(body.replace(/\s/g, ''));
}

function ofDer(base64: string): string | undefined {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) return undefined;
  const der = Buffer.from(base64, 'base64');
  try {
    const { raw } = new X509Certificate(der);
    return raw.equals(der) ? hash('sha256', der, 'base64url') : undefined;
  } catch {
    return undefined;
  }
}
