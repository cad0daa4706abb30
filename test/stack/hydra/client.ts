import { randomBytes, randomUUID } from 'node:crypto';
import type { AdapterPayload } from 'oidc-provider';

/** A client as Hydra's admin API reads and writes it. */
export interface HydraClient {
  client_id: string;
  client_secret?: string;
  grant_types: string[];
  response_types: string[];
  scope: string;
  audience: string[];
  owner: string;
  token_endpoint_auth_method: string;
  [field: string]: unknown;
}

/** A refusal in the form of Hydra's error answers. */
export class HydraError extends Error {
  readonly status: number;
  readonly error: string;
  constructor(status: number, error: string, description: string) {
    super(description);
    this.status = status;
    this.error = error;
  }
}

/** What Hydra fills in where a client document is silent. */
const DEFAULTS = {
  client_name: '',
  redirect_uris: [],
  grant_types: ['authorization_code'],
  response_types: ['code'],
  scope: 'offline_access offline openid',
  audience: [],
  owner: '',
  policy_uri: '',
  allowed_cors_origins: [],
  tos_uri: '',
  client_uri: '',
  logo_uri: '',
  contacts: [],
  client_secret_expires_at: 0,
  subject_type: 'public',
  jwks: {},
  token_endpoint_auth_method: 'client_secret_basic',
  userinfo_signed_response_alg: 'none',
  metadata: {},
  skip_consent: false,
  skip_logout_consent: null,
  access_token_strategy: '',
  authorization_code_grant_access_token_lifespan: null,
  authorization_code_grant_id_token_lifespan: null,
  authorization_code_grant_refresh_token_lifespan: null,
  client_credentials_grant_access_token_lifespan: null,
  implicit_grant_access_token_lifespan: null,
  implicit_grant_id_token_lifespan: null,
  jwt_bearer_grant_access_token_lifespan: null,
  refresh_token_grant_access_token_lifespan: null,
  refresh_token_grant_id_token_lifespan: null,
  refresh_token_grant_refresh_token_lifespan: null,
} as const;

/** Every other field that Hydra knows; anything else is dropped, as Go's JSON decoder does. */
const OPTIONAL = new Set([
  'backchannel_logout_session_required',
  'backchannel_logout_uri',
  'frontchannel_logout_session_required',
  'frontchannel_logout_uri',
  'jwks_uri',
  'post_logout_redirect_uris',
  'request_object_signing_alg',
  'request_uris',
  'sector_identifier_uri',
  'token_endpoint_auth_signing_alg',
]);

const WITH_SECRET = new Set(['client_secret_basic', 'client_secret_post']);

/** The registry of OAuth 2.0 clients, with the semantics of Hydra's `/admin/clients`. */
export class Clients {
  readonly #clients = new Map<string, HydraClient>();

  /** One client with its secret, for the token endpoint. */
  get(id: string): HydraClient | undefined {
    return this.#clients.get(id);
  }

  /** All clients in order of creation, without secrets. */
  list(): HydraClient[] {
    return [...this.#clients.values()].map(withoutSecret);
  }

  /** @throws HydraError 404 */
  read(id: string): HydraClient {
    return withoutSecret(this.#find(id));
  }

  /**
   * @returns the client, with its secret: the one time that Hydra tells it
   * @throws HydraError 400 on invalid metadata, 409 when the id is in use
   */
  create(input: unknown): HydraClient {
    const document = object(input);
    const id = text(document, 'client_id') || randomUUID();
    if (this.#clients.has(id)) {
      throw new HydraError(
        409,
        'Unable to insert or update resource because a resource with that value exists already',
        '',
      );
    }
    const client = complete(document, id);
    if (WITH_SECRET.has(client.token_endpoint_auth_method)) client.client_secret ||= randomSecret();
    const now = timestamp();
    Object.assign(client, { created_at: now, updated_at: now });
    this.#clients.set(id, client);
    return structuredClone(client);
  }

  /**
   * Replaces a whole client; a missing `client_secret` keeps the old one.
   *
   * @returns the client, with the secret if the request changed it
   * @throws HydraError 400, 404
   */
  replace(id: string, input: unknown): HydraClient {
    const old = this.#find(id);
    const client = complete(object(input), id);
    const changed = client.client_secret;
    if (changed === undefined && old.client_secret !== undefined) client.client_secret = old.client_secret;
    Object.assign(client, { created_at: old.created_at, updated_at: timestamp() });
    this.#clients.set(id, client);
    return changed === undefined ? withoutSecret(client) : structuredClone(client);
  }

  /** @throws HydraError 404 */
  delete(id: string): void {
    this.#find(id);
    this.#clients.delete(id);
  }

  #find(id: string): HydraClient {
    const client = this.#clients.get(id);
    if (client === undefined) throw new HydraError(404, 'Unable to locate the resource', '');
    return client;
  }
}

/** What oidc-provider has to know of a client; what Hydra alone knows stays in the registry. */
export function oidcMetadata(client: HydraClient): AdapterPayload {
  return {
    client_id: client.client_id,
    ...(client.client_secret === undefined ? {} : { client_secret: client.client_secret }),
    grant_types: client.grant_types.filter((grant) => grant === 'client_credentials'),
    response_types: [],
    redirect_uris: [],
    token_endpoint_auth_method: client.token_endpoint_auth_method as 'client_secret_basic',
  };
}

function complete(document: Record<string, unknown>, id: string): HydraClient {
  const client: Record<string, unknown> = structuredClone(DEFAULTS);
  for (const [field, value] of Object.entries(document)) {
    if (value === null || value === undefined || value === '') continue;
    if (field in DEFAULTS || OPTIONAL.has(field) || field === 'client_secret') client[field] = value;
  }
  client.client_id = id;
  // What Hydra's validator changes.
  client.client_secret_expires_at = 0;
  if (Array.isArray(client.allowed_cors_origins)) {
    client.allowed_cors_origins = client.allowed_cors_origins.map((origin) =>
      String(origin).replace(/\/+$/, ''),
    );
  }
  for (const field of ['grant_types', 'response_types', 'audience', 'redirect_uris']) {
    const value = client[field];
    if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) {
      throw new HydraError(400, 'invalid_request', `The field ${field} must be a list of strings.`);
    }
  }
  for (const field of ['scope', 'owner', 'token_endpoint_auth_method']) text(client, field);
  const secret = text(client, 'client_secret');
  if (secret !== '' && secret.length < 6) {
    throw new HydraError(
      400,
      'invalid_client_metadata',
      'Field client_secret must contain a secret that is at least 6 characters long.',
    );
  }
  if (!(client.redirect_uris as string[]).every((uri) => URL.canParse(uri) && !uri.includes('#'))) {
    throw new HydraError(
      400,
      'invalid_redirect_uri',
      'redirect_uris must be absolute URIs without a fragment.',
    );
  }
  return client as HydraClient;
}

function object(input: unknown): Record<string, unknown> {
  if (typeof input === 'object' && input !== null && !Array.isArray(input))
    return input as Record<string, unknown>;
  throw new HydraError(400, 'invalid_request', 'Unable to decode the request body.');
}

function text(document: Record<string, unknown>, field: string): string {
  const value = document[field] ?? '';
  if (typeof value === 'string') return value;
  throw new HydraError(400, 'invalid_request', `The field ${field} must be a string.`);
}

function withoutSecret(client: HydraClient): HydraClient {
  const { client_secret: _, ...rest } = structuredClone(client);
  return rest as HydraClient;
}

function randomSecret(): string {
  return randomBytes(24).toString('base64url');
}

/** Hydra keeps whole seconds. */
function timestamp(): string {
  return new Date().toISOString().replace(/\.\d+Z$/, 'Z');
}
