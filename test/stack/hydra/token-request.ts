import type { IncomingMessage } from 'node:http';
import type { Clients, HydraClient } from './client.js';
import { BadBody, readForm } from './form.js';
import { CHECK_PARAMETERS, oauthError } from './oauth-errors.js';
import { grants, words } from './scope.js';

/** A token request that Hydra would grant. */
export interface TokenRequest {
  readonly client: HydraClient;
  readonly scopes: readonly string[];
  readonly audience: readonly string[];
}

/**
 * Reads a form as the OAuth endpoints do.
 *
 * @param empty what is said of an empty one
 * @throws HydraError
 */
export async function readOAuthForm(
  request: IncomingMessage,
  empty = 'The POST body can not be empty.',
): Promise<URLSearchParams> {
  let form: URLSearchParams;
  try {
    form = await readForm(request);
  } catch (error) {
    if (!(error instanceof BadBody)) throw error;
    throw oauthError(
      'invalid_request',
      'Unable to parse HTTP body, make sure to send a properly formatted form request body.',
    );
  }
  if (form.size === 0) throw oauthError('invalid_request', empty);
  return form;
}

/**
 * Authenticates the client of a request, as Hydra does: by the one method that it is registered for.
 *
 * @param missing what is said where there are no credentials
 * @throws HydraError
 */
export function authenticate(
  { headers: { authorization } }: IncomingMessage,
  form: URLSearchParams,
  clients: Clients,
  missing: string,
): HydraClient {
  const basic = basicCredentials(authorization);
  const [id, secret] = basic ?? [form.get('client_id') ?? '', form.get('client_secret') ?? ''];
  if (id === '') throw oauthError('invalid_request', missing);
  const client = clients.get(id);
  if (client === undefined) throw oauthError('invalid_client');
  const method = client.token_endpoint_auth_method;
  const inBody = form.get('client_id') && form.get('client_secret');
  const used = inBody
    ? 'client_secret_post'
    : basic !== undefined && secret !== ''
      ? 'client_secret_basic'
      : undefined;
  if (used !== undefined && used !== method) {
    throw oauthError(
      'invalid_client',
      `The OAuth 2.0 Client supports client authentication method '${method}', but method '${used}' was requested. You must configure the OAuth 2.0 client's 'token_endpoint_auth_method' value to accept '${used}'.`,
    );
  }
  if (method !== 'none' && (secret === '' || secret !== client.client_secret))
    throw oauthError('invalid_client');
  return client;
}

/**
 * Decides about a token request.
 *
 * @throws HydraError for what Hydra refuses
 */
export function checkTokenRequest(
  request: IncomingMessage,
  form: URLSearchParams,
  clients: Clients,
): TokenRequest {
  const grant = form.get('grant_type');
  if (!grant) throw oauthError('invalid_request', "Request parameter 'grant_type' is missing");
  const client = authenticate(
    request,
    form,
    clients,
    'Client credentials missing or malformed in both HTTP Authorization header and HTTP POST body.',
  );
  const notAllowed = `The OAuth 2.0 Client is not allowed to use authorization grant '${grant}'.`;
  if (grant === 'authorization_code' || grant === 'refresh_token') {
    throw client.grant_types.includes(grant)
      ? oauthError('invalid_grant')
      : oauthError('unauthorized_client', notAllowed);
  }
  if (grant !== 'client_credentials') throw oauthError('invalid_request', CHECK_PARAMETERS);
  const scopes = [...new Set(words(form.get('scope')))];
  for (const scope of scopes) {
    if (!grants(words(client.scope), scope)) {
      throw oauthError('invalid_scope', `The OAuth 2.0 Client is not allowed to request scope '${scope}'.`);
    }
  }
  const audience = form.getAll('audience').flatMap((value) => words(value));
  for (const each of audience) {
    if (!client.audience.includes(each)) {
      const hint = `Requested audience '${each}' has not been whitelisted by the OAuth 2.0 Client.`;
      throw oauthError('invalid_request', hint);
    }
  }
  if (client.token_endpoint_auth_method === 'none') {
    const hint =
      "The OAuth 2.0 Client is marked as public and is thus not allowed to use authorization grant 'client_credentials'.";
    throw oauthError('invalid_grant', hint);
  }
  if (!client.grant_types.includes(grant)) throw oauthError('unauthorized_client', notAllowed);
  return { client, scopes, audience };
}

/** Both parts are form-encoded (RFC 6749 §2.3.1). */
function basicCredentials(authorization = ''): [id: string, secret: string] | undefined {
  const [, encoded] = /^Basic +([A-Za-z0-9+/]+=*) *$/i.exec(authorization) ?? [];
  const [, id = '', secret = ''] =
    /^([^:]*):(.*)$/s.exec(Buffer.from(encoded ?? '', 'base64').toString()) ?? [];
  if (id === '') return undefined;
  try {
    return [formDecode(id), formDecode(secret)];
  } catch {
    return undefined;
  }
}

/** @throws URIError for a bad escape */
function formDecode(value: string): string {
  return decodeURIComponent(value.replaceAll('+', ' '));
}
