import { randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';
import type { AssertionSource } from '../../model/authorization-server.js';

/** Seconds an assertion is good for: it is used at once, and the servers' clocks differ. */
const LIFETIME = 60;

/** The assertion's type as a form parameter (RFC 7523 §2.2). */
export const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

/**
 * Signs one client assertion (RFC 7523 §3, OpenID Connect Core §9): `iss` and `sub` are the client, `aud` is one
 * text, the authorization server's own identifier (a list of audiences, or an endpoint's URL, lets one server use at
 * another what it was given), `jti` is new each time.
 *
 * @param now seconds since 1970
 * @throws Error of the library when the key cannot sign
 */
export async function signAssertion(source: AssertionSource, now: number): Promise<string> {
  const { clientId, audience } = source;
  const { key, algorithm, keyId } = source.key();
  const issued = Math.floor(now);
  return await new SignJWT()
    .setProtectedHeader({ alg: algorithm, ...(keyId === undefined ? {} : { kid: keyId }) })
    .setIssuer(clientId)
    .setSubject(clientId)
    .setAudience(audience)
    .setJti(randomUUID())
    .setIssuedAt(issued)
    .setExpirationTime(issued + LIFETIME)
    .sign(key);
}
