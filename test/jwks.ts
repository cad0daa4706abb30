import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose';

/** An issuer whose keys a test makes, publishes and takes back. */
export interface Issuer {
  /** Where its key set is published. */
  readonly url: string;
  /** How often the key set was read. */
  readonly reads: () => number;
  /** What is published now. */
  readonly keys: JWK[];
  /** Answers in place of the key set while set. */
  fault: ((response: ServerResponse) => void) | undefined;
  /** Makes a key and, unless told otherwise, publishes it; ES256 by default, because RSA keys take their time. */
  makeKey(kid: string, algorithm?: string, published?: boolean): Promise<CryptoKey>;
  /** Signs a token that lives for ten minutes from `now` on; with the algorithm that the key was made for by default. */
  sign(
    key: CryptoKey,
    kid: string,
    claims: JWTPayload,
    header?: { alg?: string; typ?: string },
  ): Promise<string>;
  close(): Promise<void>;
}

/**
 * Starts one on a free loopback port.
 *
 * @param now seconds since 1970
 */
export async function startIssuer(now: () => number = () => Date.now() / 1000): Promise<Issuer> {
  let reads = 0;
  const keys: JWK[] = [];
  const server = createServer((_message, response) => {
    reads++;
    if (issuer.fault !== undefined) issuer.fault(response);
    else response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ keys }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const issuer: Issuer = {
    url: `http://127.0.0.1:${port}/.well-known/jwks.json`,
    reads: () => reads,
    keys,
    fault: undefined,
    async makeKey(kid, algorithm = 'ES256', published = true) {
      const { publicKey, privateKey } = await generateKeyPair(algorithm, { extractable: true });
      if (published) keys.push({ ...(await exportJWK(publicKey)), kid, alg: algorithm, use: 'sig' });
      return privateKey as CryptoKey;
    },
    sign: (
      key,
      kid,
      claims,
      { alg = key.algorithm.name === 'ECDSA' ? 'ES256' : 'RS256', typ = 'at+jwt' } = {},
    ) =>
      new SignJWT({ exp: Math.floor(now()) + 600, ...claims })
        .setProtectedHeader({ alg, kid, typ })
        .sign(key),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return issuer;
}
