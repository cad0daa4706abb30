import { hash } from 'node:crypto';
import type { ClientAuth } from '../../model/authorization-server.js';
import { ASSERTION_TYPE, signAssertion } from './client-assertion.js';
import { basicCredentials, formEncode } from './client-secret.js';
import { type Grants, grantIdentity } from './grant.js';

/** What client authentication adds to one introspection call. */
export interface ClientCredentials {
  /** The value of the Authorization field. Absent if the method does not use it. */
  readonly authorization?: string;
  /** Form parameters, encoded, beginning with `&`; empty if there are none. */
  readonly form: string;
  /**
   * Called when the server refuses the credentials (401); the caller may then build new ones, once. Absent if
   * they would be the same.
   */
  readonly refused?: () => void;
}

/** What building client credentials needs. */
export interface ClientCredentialsContext {
  readonly grants: Grants;
  /** Returns seconds since 1970. */
  readonly now: () => number;
  /** Aborts at the deadline of the call. */
  readonly signal: AbortSignal;
}

/**
 * Builds the client credentials for one call. Secrets are read for each call, so that a rotated file takes
 * effect.
 *
 * @throws PrerequisiteUnavailable if the token endpoint gives no token; Error of the library if a key cannot
 *   sign
 */
export async function clientCredentials(
  auth: ClientAuth,
  { grants, now, signal }: ClientCredentialsContext,
): Promise<ClientCredentials> {
  switch (auth.method) {
    case 'none':
      return { form: '' };
    case 'basic':
      return { authorization: basicCredentials(auth.clientId, auth.clientSecret()), form: '' };
    case 'post':
      return { form: clientForm(auth.clientId, { client_secret: auth.clientSecret() }) };
    case 'private_key_jwt':
    case 'client_secret_jwt': {
      const assertion = await signAssertion(auth, now());
      const more = { client_assertion_type: ASSERTION_TYPE, client_assertion: assertion };
      return { form: clientForm(auth.clientId, more) };
    }
    case 'tls':
      return { form: clientForm(auth.clientId, {}) };
    case 'bearer':
      return { authorization: `Bearer ${auth.token()}`, form: '' };
    case 'pre_authorization': {
      const token = await grants.token(auth.grant, signal);
      const refused = () => grants.refused(auth.grant, token);
      return { authorization: `Bearer ${token}`, form: '', refused };
    }
  }
}

/**
 * Identifies the credentials without containing a secret. It is part of the cache key, because a server may
 * answer different clients differently.
 */
export function authIdentity(auth: ClientAuth): string {
  switch (auth.method) {
    case 'none':
      return auth.method;
    case 'bearer':
      return `${auth.method}:${hash('sha256', auth.token(), 'base64')}`;
    case 'pre_authorization':
      return `${auth.method}:${grantIdentity(auth.grant)}`;
    default:
      return `${auth.method}:${auth.clientId}`;
  }
}

function clientForm(clientId: string, more: Readonly<Record<string, string>>): string {
  return Object.entries({ client_id: clientId, ...more })
    .map(([name, value]) => `&${name}=${formEncode(value)}`)
    .join('');
}
