import { hash } from 'node:crypto';
import type { ClientAuth } from '../../model/authorization-server.js';
import { ASSERTION_TYPE, signAssertion } from './client-assertion.js';
import { basicCredentials, formEncode } from './client-secret.js';
import { type Grants, grantIdentity } from './grant.js';

/** What client authentication adds to one introspection call. */
export interface ClientCredentials {
  readonly authorization?: string;
  /** Form parameters, already encoded, starting with `&`; empty for none. */
  readonly form: string;
  /** Told that the server refused it (401): another one may be taken, once. Absent where it would be the same. */
  readonly refused?: () => void;
}

/** What a proof is made with. */
export interface ClientCredentialsContext {
  readonly grants: Grants;
  /** Seconds since 1970. */
  readonly now: () => number;
  /** The call's deadline. */
  readonly signal: AbortSignal;
}

/**
 * Builds what identifies the gateway in one call. Secrets are read at each call, so that a rotated file counts.
 *
 * @throws PrerequisiteUnavailable when there is no token to be had; Error of the library when a key cannot sign
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

/** Names the credentials without holding them, for the cache key: who asks decides what is answered. */
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
