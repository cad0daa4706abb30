import { randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';
import type { AssertionSource } from '../../model/authorization-server.js';

/** Seconds until an assertion expires. It is used at once; the time allows for clocks that differ. */
const LIFETIME = 60;

/** The value of the form parameter `client_assertion_type` (RFC 7523 §2.2). */
export const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

/**
 * Signs one client assertion (RFC 7523 §3, OpenID Connect Core §9). `iss` and `sub` are the client id. `aud`
 * is a single text, the issuer identifier of the authorization server: with a list of audiences, or the URL
 * of an endpoint, one server could use the assertion at another. `jti` is new for each assertion.
 *
 * @param now seconds since 1970
 * @returns the assertion, a signed JWT
 * @throws Error of the library if the key cannot sign
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
