// @peculiar/x509 resolves its parts through decorators' metadata, which this import provides.
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type JsonGeneralNames,
  type JsonName,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

/** What certificates are made of here: valid from 18 December 2018 to 1 January 2100. */
const VALIDITY = { notBefore: new Date('2018-12-18T01:50:34Z'), notAfter: new Date('2100-01-01T00:00:00Z') };

/** An authority that signs certificates of clients. */
export interface ClientAuthority {
  /** Its certificate; PEM. */
  readonly ca: string;
  /** Makes a certificate and its key; PEM. */
  issue(subject: JsonName, names?: JsonGeneralNames, serial?: string): Promise<ClientCertificate>;
}

/** A certificate that a client shows; PEM. */
export interface ClientCertificate {
  readonly cert: string;
  readonly key: string;
}

/** Makes an authority. */
export async function makeClientAuthority(name: JsonName): Promise<ClientAuthority> {
  const keys = await generateKeys();
  const common = { ...VALIDITY, signingAlgorithm: ALGORITHM };
  const ca = await X509CertificateGenerator.createSelfSigned(
    {
      ...common,
      serialNumber: '01',
      name,
      keys,
      extensions: [
        new BasicConstraintsExtension(true, 0, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
      ],
    },
    webcrypto,
  );
  return {
    ca: ca.toString('pem'),
    async issue(subject, names = [], serial = '0AB1') {
      const own = await generateKeys();
      const leaf = await X509CertificateGenerator.create(
        {
          ...common,
          serialNumber: serial,
          issuer: ca.subjectName,
          subject,
          publicKey: own.publicKey,
          signingKey: keys.privateKey,
          extensions: [
            new BasicConstraintsExtension(false, undefined, true),
            new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth]),
            ...(names.length === 0 ? [] : [new SubjectAlternativeNameExtension(names)]),
          ],
        },
        webcrypto,
      );
      const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', own.privateKey)).toString('base64');
      const key = `-----BEGIN PRIVATE KEY-----\n${der.replace(/.{64}/g, '$&\n')}\n-----END PRIVATE KEY-----\n`;
      return { cert: leaf.toString('pem'), key };
    },
  };
}

async function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}
