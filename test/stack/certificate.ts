// @peculiar/x509 resolves its parts through decorators' metadata, which this import provides.
import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';

/** A certificate authority's certificate, and a leaf it signed with its key; all PEM. */
export interface Certificate {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const RSA = {
  name: 'RSASSA-PKCS1-v1_5',
  hash: 'SHA-256',
  modulusLength: 2048,
  publicExponent: new Uint8Array([1, 0, 1]),
};
const DAY = 24 * 60 * 60 * 1000;

/**
 * Makes a certificate authority and one server certificate; nothing is kept but what is returned, the authority's key
 * least of all.
 *
 * @param names DNS names and IP addresses the certificate is for
 * @param now milliseconds since 1970; the certificate is valid from a day before to thirty days after
 * @param kind of the server's key
 */
export async function makeCertificate(
  names: readonly string[],
  now = Date.now(),
  kind: 'EC' | 'RSA' = 'EC',
): Promise<Certificate> {
  const [caKeys, keys] = await Promise.all([generateKeys(), generateKeys(kind)]);
  const validity = { notBefore: new Date(now - DAY), notAfter: new Date(now + 30 * DAY) };
  const issuer = 'CN=scopegate local stack CA';
  const ca = await X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: randomBytes(8).toString('hex'),
      name: issuer,
      ...validity,
      keys: caKeys,
      signingAlgorithm: ALGORITHM,
      extensions: [
        new BasicConstraintsExtension(true, 0, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
        await SubjectKeyIdentifierExtension.create(caKeys.publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  );
  const leaf = await X509CertificateGenerator.create(
    {
      serialNumber: randomBytes(8).toString('hex'),
      issuer,
      subject: `CN=${names[0] ?? 'localhost'}`,
      ...validity,
      publicKey: keys.publicKey,
      signingKey: caKeys.privateKey,
      signingAlgorithm: ALGORITHM,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(
          kind === 'EC'
            ? KeyUsageFlags.digitalSignature
            : KeyUsageFlags.digitalSignature | KeyUsageFlags.keyEncipherment,
          true,
        ),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
        new SubjectAlternativeNameExtension(
          names.map((value) => ({ type: isAddress(value) ? 'ip' : 'dns', value })),
        ),
        await AuthorityKeyIdentifierExtension.create(caKeys.publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  );
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  const key = `-----BEGIN PRIVATE KEY-----\n${pkcs8.replace(/.{64}/g, '$&\n')}\n-----END PRIVATE KEY-----\n`;
  return { ca: ca.toString('pem'), cert: leaf.toString('pem'), key };
}

async function generateKeys(kind: 'EC' | 'RSA' = 'EC'): Promise<webcrypto.CryptoKeyPair> {
  const algorithm = kind === 'EC' ? ALGORITHM : RSA;
  return await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
}

function isAddress(name: string): boolean {
  return /^[\d.]+$/.test(name) || name.includes(':');
}
