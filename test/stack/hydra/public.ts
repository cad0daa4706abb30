import type { IncomingMessage, ServerResponse } from 'node:http';
import { NO_STORE, send, sendNotFoundPage, sendOAuth } from './answer.js';
import { type Clients, HydraError } from './client.js';
import { metadata } from './metadata.js';
import { CHECK_PARAMETERS, oauthError } from './oauth-errors.js';
import type { Core } from './provider.js';
import { authenticate, checkTokenRequest, readOAuthForm } from './token-request.js';

/** What the public port serves. */
export interface PublicRoutes {
  readonly core: Core;
  readonly clients: Clients;
  readonly issuer: string;
  /** Seconds an access token lives (Hydra's `ttl.access_token`). */
  readonly lifetime: number;
  /** False: Hydra cannot read the client, and says the same as of one that does not exist. */
  readonly database: boolean;
}

/**
 * Serves the public port, but for its health.
 *
 * @param path without a trailing slash
 */
export async function servePublic(
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
  routes: PublicRoutes,
): Promise<void> {
  const { issuer, core } = routes;
  const route = `${request.method} ${path}`;
  try {
    switch (route) {
      case 'GET /.well-known/openid-configuration':
      case 'GET /.well-known/oauth-authorization-server':
        return send(response, 200, metadata(issuer));
      case 'GET /.well-known/jwks.json':
        return send(response, 200, { keys: core.keys });
      case 'POST /oauth2/token':
        return sendOAuth(response, 200, await issueToken(request, routes));
      case 'POST /oauth2/revoke':
        await revoke(request, routes);
        response.writeHead(200, NO_STORE).end();
        return;
      default:
        request.resume();
        return sendNotFoundPage(response);
    }
  } catch (error) {
    if (!(error instanceof HydraError)) throw error;
    sendOAuth(response, error.status, { error: error.error, error_description: error.message });
  }
}

async function issueToken(
  request: IncomingMessage,
  { core, clients, lifetime, database }: PublicRoutes,
): Promise<object> {
  const form = await readOAuthForm(request);
  if (!database) throw oauthError('invalid_client');
  const { client, scopes, audience } = checkTokenRequest(request, form, clients);
  const scope = scopes.join(' ');
  const token = { clientId: client.client_id, scope, aud: [...audience], lifetime, prefix: 'ory_at_' };
  // Hydra counts the whole seconds that are left when it answers.
  return { access_token: await core.issue(token), expires_in: lifetime - 1, scope, token_type: 'bearer' };
}

/** A revocation without a token succeeds at Hydra, and so does one of a token of another client. */
async function revoke(request: IncomingMessage, { core, clients, database }: PublicRoutes): Promise<void> {
  const form = await readOAuthForm(request, CHECK_PARAMETERS);
  if (!database) throw oauthError('invalid_client');
  const client = authenticate(request, form, clients, CHECK_PARAMETERS);
  const value = form.get('token') ?? '';
  const token = await core.find(value);
  if (token?.clientId === client.client_id) await core.revoke(value);
}
