import { randomBytes } from 'node:crypto';
import { IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { exportJWK, generateKeyPair, type JWK } from 'jose';
import Provider, { errors, type KoaContextWithOIDC, type TokenEndpointGrantContext } from 'oidc-provider';
import { type Clients, oidcMetadata } from './client.js';
import { BadBody, readForm } from './form.js';
import { grants, words } from './scope.js';
import { Store } from './store.js';

/** An access token as it lies in the store. */
export interface StoredToken {
  readonly clientId: string;
  readonly scope: string;
  readonly aud: readonly string[];
  readonly iat: number;
  readonly exp: number;
}

/** The protocol's core: oidc-provider, spoken to and answering as Hydra's public port. */
export interface Core {
  /** Serves the public port's protocol paths. */
  readonly handle: RequestListener;
  /** Makes a token without a request. */
  issue(token: {
    clientId: string;
    scope: string;
    aud: string[];
    lifetime: number;
    prefix: string;
  }): Promise<string>;
  find(token: string): Promise<StoredToken | undefined>;
  revoke(token: string): Promise<void>;
}

/** What Hydra says where it does not say more. */
export const DESCRIPTIONS: Record<string, string> = {
  invalid_client:
    'Client authentication failed (e.g., unknown client, no client authentication included, or unsupported authentication method).',
  unauthorized_client:
    'The client is not authorized to request a token using this method. The OAuth 2.0 Client is not allowed to use authorization grant "client_credentials".',
};

/**
 * Builds the core.
 *
 * @param issuer the issuer identifier, `http://host:port`
 * @param lifetime seconds an access token lives (Hydra's `ttl.access_token`, 1 h)
 */
export async function createCore(issuer: string, clients: Clients, lifetime: number): Promise<Core> {
  const store = new Store((id) => {
    const client = clients.get(id);
    return client && oidcMetadata(client);
  });
  const provider = new Provider(issuer, {
    adapter: (model) => store.adapter(model),
    jwks: { keys: [await signingKey()] },
    cookies: { keys: [randomBytes(16).toString('hex')] },
    routes: { token: '/oauth2/token', revocation: '/oauth2/revoke', jwks: '/.well-known/jwks.json' },
    ttl: { ClientCredentials: lifetime },
    // Hydra's tokens end on the second; oidc-provider would give them a while longer.
    clockTolerance: 0,
    clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'none'],
    features: {
      devInteractions: { enabled: false },
      userinfo: { enabled: false },
      rpInitiatedLogout: { enabled: false },
      clientCredentials: { enabled: true },
      revocation: { enabled: true },
    },
  });
  // oidc-provider compares scopes literally; Hydra matches them by pattern and takes `audience`. Hence a grant of its own.
  provider.registerGrantType(
    'client_credentials',
    (ctx) => clientCredentials(ctx, clients),
    ['scope', 'audience'],
    ['audience'],
  );
  provider.use(asHydraAnswers);
  const callback = provider.callback();

  return {
    handle: (request, response) => void convert(request, response, callback),
    async issue({ clientId, scope, aud, lifetime: expiresIn, prefix }) {
      const client = await provider.Client.find(clientId);
      if (client === undefined) throw new Error(`no client ${clientId}`);
      const token = new provider.ClientCredentials({ client, scope, aud, expiresIn });
      return await named(token, prefix).save();
    },
    async find(token) {
      const found = await provider.ClientCredentials.find(token);
      if (found?.clientId === undefined || found.exp === undefined) return undefined;
      const aud = [found.aud ?? []].flat();
      return { clientId: found.clientId, scope: found.scope ?? '', aud, iat: found.iat, exp: found.exp };
    },
    async revoke(token) {
      await (await provider.ClientCredentials.find(token))?.destroy();
    },
  };
}

let key: Promise<JWK> | undefined;

/** One key for all servers of a process: making one takes longer than everything else at start. */
async function signingKey(): Promise<JWK> {
  key ??= generateKeyPair('RS256', { extractable: true })
    .then(({ privateKey }) => exportJWK(privateKey))
    .then((jwk) => ({ ...jwk, alg: 'RS256', use: 'sig' }));
  return await key;
}

type Token = InstanceType<Provider['ClientCredentials']>;

/** Gives a new opaque token its value, which looks as Hydra v2's: a prefix and two random parts. */
function named(token: Token, prefix: string): Token {
  const part = () => randomBytes(32).toString('base64url');
  return Object.assign(token, { jti: `${prefix}${part()}.${part()}`, format: 'opaque' });
}

/** RFC 6749 §4.4, with Hydra's rules for scope and audience. */
async function clientCredentials(ctx: TokenEndpointGrantContext, clients: Clients): Promise<void> {
  const { provider, client, params } = ctx.oidc;
  const registered = clients.get(client.clientId);
  if (registered === undefined) throw new errors.InvalidClientAuth('client is gone');
  if (client.clientAuthMethod === 'none') {
    throw new errors.InvalidGrant('public clients may not use client_credentials');
  }
  // oidc-provider takes either way of sending the secret; Hydra only the registered one.
  const basic = ctx.headers.authorization !== undefined;
  if (basic !== (client.clientAuthMethod === 'client_secret_basic')) {
    throw new errors.InvalidClientAuth('authentication method does not match the registered one');
  }
  const scopes = words(params.scope as string | undefined);
  for (const scope of scopes) {
    if (!grants(words(registered.scope), scope)) {
      throw new errors.InvalidScope(
        `The requested scope is invalid, unknown, or malformed. The OAuth 2.0 Client is not allowed to request scope '${scope}'.`,
        scope,
      );
    }
  }
  const aud = [params.audience ?? []].flat().flatMap((value) => words(String(value)));
  for (const audience of aud) {
    if (!registered.audience.includes(audience)) {
      throw new errors.InvalidRequest(
        `Requested audience '${audience}' has not been whitelisted by the OAuth 2.0 Client.`,
      );
    }
  }
  const token = named(new provider.ClientCredentials({ client, scope: scopes.join(' '), aud }), 'ory_at_');
  ctx.body = {
    access_token: await token.save(),
    // Hydra counts the whole seconds that are left when it answers.
    expires_in: token.expiration - 1,
    scope: scopes.join(' '),
    token_type: 'bearer',
  };
}

/** Gives oidc-provider's answers the form of Hydra's. */
async function asHydraAnswers(ctx: KoaContextWithOIDC, next: () => Promise<void>): Promise<void> {
  await next();
  const body = ctx.body as { error?: string; error_description?: string } | undefined;
  if (typeof body !== 'object' || body?.error === undefined) return;
  let { error } = body;
  if (error === 'unsupported_grant_type') error = 'invalid_request';
  if (error === 'invalid_request' && body.error_description?.includes('not allowed for this client')) {
    error = 'unauthorized_client';
  }
  ctx.remove('WWW-Authenticate');
  ctx.body = { error, error_description: DESCRIPTIONS[error] ?? body.error_description ?? '' };
}

/** Reads the form, refuses what Hydra refuses first, and hands oidc-provider a request it understands. */
async function convert(
  request: IncomingMessage,
  response: ServerResponse,
  next: RequestListener,
): Promise<void> {
  if (request.method !== 'POST') return next(request, response) as unknown as undefined;
  let form: URLSearchParams;
  try {
    form = await readForm(request);
  } catch (error) {
    if (!(error instanceof BadBody)) return;
    return refuse(response, error.message);
  }
  if (form.size === 0) return refuse(response, 'The POST body can not be empty.');
  if (request.url?.startsWith('/oauth2/token') && !form.get('grant_type')) {
    return refuse(response, "Request parameter 'grant_type' is missing");
  }
  const body = Buffer.from(form.toString());
  const converted = new IncomingMessage(request.socket);
  converted.method = request.method;
  converted.url = request.url ?? '/';
  converted.headers = {
    ...request.headers,
    accept: 'application/json',
    'content-type': 'application/x-www-form-urlencoded',
    'content-length': String(body.length),
  };
  delete converted.headers['transfer-encoding'];
  // An incomplete message destroys its socket when it ends.
  converted.complete = true;
  converted.push(body);
  converted.push(null);
  next(converted, response);
}

function refuse(response: ServerResponse, description: string): void {
  response.writeHead(400, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(`${JSON.stringify({ error: 'invalid_request', error_description: description })}\n`);
}
