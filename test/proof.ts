import { createHash, randomUUID } from 'node:crypto';
import {
  type CryptoKey,
  calculateJwkThumbprint,
  exportJWK,
  generateKeyPair,
  type JWK,
  type JWTHeaderParameters,
  SignJWT,
} from 'jose';

/** A client's key, which makes DPoP proofs. */
export interface ClientKey {
  /** Its SHA-256 thumbprint (RFC 7638), as `cnf.jkt` has it. */
  readonly jkt: string;
  readonly jwk: JWK;
  readonly privateKey: CryptoKey;
  /**
   * Signs a proof for one request.
   *
   * @param claims laid over the right ones; undefined takes one away
   * @param header laid over the right one
   */
  prove(request: ProvenRequest, claims?: object, header?: object): Promise<string>;
}

/** What a proof is made for. */
export interface ProvenRequest {
  readonly method?: string;
  readonly uri: string;
  readonly token: string;
  /** Seconds since 1970. */
  readonly now: number;
}

/** Makes a key. */
export async function makeClientKey(algorithm = 'ES256'): Promise<ClientKey> {
  const { publicKey, privateKey } = await generateKeyPair(algorithm, { extractable: true });
  const jwk = await exportJWK(publicKey);
  return {
    jkt: await calculateJwkThumbprint(jwk),
    jwk,
    privateKey: privateKey as CryptoKey,
    prove({ method = 'GET', uri, token, now }, claims = {}, header = {}) {
      const ath = createHash('sha256').update(token).digest('base64url');
      const right = { jti: randomUUID(), htm: method, htu: uri, iat: now, ath };
      return new SignJWT({ ...right, ...claims })
        .setProtectedHeader({ typ: 'dpop+jwt', alg: algorithm, jwk, ...header } as JWTHeaderParameters)
        .sign(privateKey);
    },
  };
}
