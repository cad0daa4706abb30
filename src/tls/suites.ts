import { type CipherNameAndProtocol, createSecureContext } from 'node:tls';

/**
 * The default cipher suites of TLS listeners: those of Mozilla's intermediate configuration, version 5.7
 * (https://ssl-config.mozilla.org/guidelines/5.7.json). For TLS 1.2 these are suites with forward secrecy and
 * authenticated encryption. The suites with finite-field Diffie-Hellman are left out, because every client
 * that supports them also supports one of these.
 */
export const SUITES = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

/**
 * The curves of the same configuration. If Node's OpenSSL supports the hybrid with ML-KEM, which later
 * guidelines add, it comes first.
 */
export const CURVES =
  supported('X25519MLKEM768:X25519:prime256v1:secp384r1') ?? 'X25519:prime256v1:secp384r1';

function supported(curves: string): string | undefined {
  try {
    createSecureContext({ ecdhCurve: curves });
    return curves;
  } catch {
    return undefined;
  }
}

/** Suites of TLS 1.2 with an ephemeral key and authenticated encryption, by their IANA names. */
const MODERN = /^TLS_(?:ECDHE|DHE)_(?:ECDSA|RSA|DSS|PSK)_(?:WITH_)?.*(?:_GCM_|_CCM|CHACHA20_POLY1305)/;

/**
 * Whether HTTP/2 may be used with a cipher suite (RFC 9113 §9.2.2). Appendix A prohibits the suites of TLS 1.2 that have
 * no ephemeral key exchange or no authenticated encryption.
 *
 * @param suite as `TLSSocket.getCipher()` returns it
 */
export function allowsHttp2(suite: CipherNameAndProtocol): boolean {
  return suite.version === 'TLSv1.3' || MODERN.test(suite.standardName);
}

/**
 * Elements of a cipher list that accept only suites with forward secrecy and authenticated encryption: whole
 * names, combinations, exclusions and orders.
 */
const STRONG = [
  /^TLS_(?:AES|CHACHA20)_[A-Z0-9_]+$/,
  /^(?:ECDHE|DHE)-(?:ECDSA|RSA|DSS)-[A-Z0-9-]*(?:GCM|CCM8?|CHACHA20-POLY1305)[A-Z0-9-]*$/,
  /^(?:k?EECDH|k?ECDHE|k?EDH|k?DHE)\+(?:AESGCM|AESCCM8?|CHACHA20)(?:\+[A-Z0-9]+)*$/,
  /^(?:AESGCM|AESCCM8?|CHACHA20)\+(?:k?EECDH|k?ECDHE|k?EDH|k?DHE)$/,
  /^[!+-]/,
  /^@(?:STRENGTH|SECLEVEL=[2-5])$/,
];

/**
 * Finds the elements of a cipher list that accept, or may accept, suites without forward secrecy or without
 * authenticated encryption.
 *
 * @param ciphers the list, in OpenSSL's notation
 */
export function weakElements(ciphers: string): string[] {
  return ciphers
    .split(/[:, ]+/)
    .filter((element) => element !== '' && !STRONG.some((pattern) => pattern.test(element)));
}
