import { randomBytes, randomUUID } from 'node:crypto';
import type { AdapterPayload } from 'oidc-provider';
import { goDuration } from './duration.js';

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

/** A request that Hydra cannot decode. */
export function malformed(what: string): HydraError {
  return new HydraError(400, 'The request was malformed or contained invalid parameters', what);
}

const METADATA =
  "The value of one of the Client Metadata fields is invalid and the server has rejected this request. Note that an Authorization Server MAY choose to substitute a valid value for any requested parameter of a Client's Metadata. ";

function invalidMetadata(what: string): HydraError {
  return new HydraError(400, 'invalid_client_metadata', METADATA + what);
}

const LIFESPANS = [
  'authorization_code_grant_access_token_lifespan',
  'authorization_code_grant_id_token_lifespan',
  'authorization_code_grant_refresh_token_lifespan',
  'client_credentials_grant_access_token_lifespan',
  'implicit_grant_access_token_lifespan',
  'implicit_grant_id_token_lifespan',
  'jwt_bearer_grant_access_token_lifespan',
  'refresh_token_grant_id_token_lifespan',
  'refresh_token_grant_access_token_lifespan',
  'refresh_token_grant_refresh_token_lifespan',
  'device_authorization_grant_id_token_lifespan',
  'device_authorization_grant_access_token_lifespan',
  'device_authorization_grant_refresh_token_lifespan',
] as const;

/** Lists that an answer to a write shows as `null` where the request has none, and reads as `[]`. */
const NULLABLE = ['redirect_uris', 'grant_types', 'response_types', 'contacts'] as const;
const LISTS = [
  ...NULLABLE,
  'audience',
  'allowed_cors_origins',
  'post_logout_redirect_uris',
  'request_uris',
] as const;

/** What Hydra fills in where a client document is silent. */
const DEFAULTS = {
  client_name: '',
  redirect_uris: [],
  grant_types: [],
  response_types: [],
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
  ...Object.fromEntries(LIFESPANS.map((name) => [name, null])),
} as const;

/** Every other field that Hydra knows; anything else is dropped, as Go's JSON decoder does. */
const OPTIONAL = new Set([
  'access_token_strategy',
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

/** Methods without a secret; a method that Hydra does not know gets one. */
const WITHOUT_SECRET = new Set(['none', 'private_key_jwt']);

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
   * @returns the client as Hydra answers, with its secret: the one time that Hydra tells it
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
    if (!WITHOUT_SECRET.has(client.token_endpoint_auth_method)) client.client_secret ||= randomSecret();
    const now = new Date().toISOString();
    Object.assign(client, { created_at: now, updated_at: now });
    this.#clients.set(id, client);
    return answered(client, document);
  }

  /**
   * Replaces a whole client; a missing `client_secret` keeps the old one.
   *
   * @returns the client as Hydra answers, with the secret if the request changed it
   * @throws HydraError 400, 404
   */
  replace(id: string, input: unknown): HydraClient {
    const old = this.#find(id);
    const document = object(input);
    const client = complete(document, id);
    const changed = client.client_secret;
    if (changed === undefined && old.client_secret !== undefined) client.client_secret = old.client_secret;
    Object.assign(client, { created_at: old.created_at, updated_at: new Date().toISOString() });
    this.#clients.set(id, client);
    return answered(changed === undefined ? withoutSecret(client) : client, document);
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
  const method = client.token_endpoint_auth_method;
  return {
    client_id: client.client_id,
    ...(client.client_secret === undefined ? {} : { client_secret: client.client_secret }),
    grant_types: client.grant_types.filter((grant) => grant === 'client_credentials'),
    response_types: [],
    redirect_uris: [],
    token_endpoint_auth_method: WITHOUT_SECRET.has(method) ? 'none' : (method as 'client_secret_basic'),
  };
}

/** The answer to a write. */
function answered(client: HydraClient, sent: Readonly<Record<string, unknown>>): HydraClient {
  const answer: Record<string, unknown> = structuredClone(client);
  for (const field of NULLABLE) answer[field] = sent[field] ?? null;
  if (sent.metadata === null) answer.metadata = null;
  return answer as HydraClient;
}

function complete(document: Record<string, unknown>, id: string): HydraClient {
  const client: Record<string, unknown> = structuredClone(DEFAULTS);
  for (const field of LISTS) listOf(document, field);
  for (const field of ['scope', 'owner', 'token_endpoint_auth_method', 'client_secret'])
    text(document, field);
  for (const [field, value] of Object.entries(document)) {
    if (value === null || value === undefined || value === '') continue;
    if (field in DEFAULTS || OPTIONAL.has(field) || field === 'client_secret') client[field] = value;
  }
  client.client_id = id;
  // What Hydra's validator changes.
  client.client_secret_expires_at = 0;
  client.allowed_cors_origins = listOf(client, 'allowed_cors_origins').map((origin) =>
    origin.replace(/\/+$/, ''),
  );
  for (const field of LIFESPANS) {
    const value = client[field];
    if (value === null) continue;
    const duration = typeof value === 'string' ? goDuration(value) : undefined;
    if (duration === undefined) {
      throw malformed(`Unable to decode the request body: time: invalid duration '${value}'`);
    }
    client[field] = duration;
  }
  validate(client);
  return client as HydraClient;
}

/** @throws HydraError */
function validate(client: Readonly<Record<string, unknown>>): void {
  const secret = text(client, 'client_secret');
  if (secret !== '' && secret.length < 6) {
    throw invalidMetadata('Field client_secret must contain a secret that is at least 6 characters long.');
  }
  if (listOf(client, 'redirect_uris').some((uri) => uri.includes('#'))) {
    throw new HydraError(
      400,
      'invalid_redirect_uri',
      'The value of one or more redirect_uris is invalid. Redirect URIs must not contain fragments (#).',
    );
  }
  const { jwks, jwks_uri: jwksUri, subject_type: subject, access_token_strategy: strategy = '' } = client;
  if (
    client.token_endpoint_auth_method === 'private_key_jwt' &&
    jwksUri === undefined &&
    Object.keys(jwks as object).length === 0
  ) {
    throw invalidMetadata(
      "When token_endpoint_auth_method is 'private_key_jwt', either jwks or jwks_uri must be set.",
    );
  }
  if (subject !== 'public') {
    throw invalidMetadata(`Subject type ${subject} is not supported by server, only [public] are allowed.`);
  }
  if (!['', 'jwt', 'opaque'].includes(strategy as string)) {
    throw invalidMetadata(`invalid access token strategy: expected one of [jwt, opaque] but got ${strategy}`);
  }
}

const UNDECODABLE = 'Unable to decode the request body: json: cannot unmarshal';

function object(input: unknown): Record<string, unknown> {
  if (typeof input === 'object' && input !== null && !Array.isArray(input))
    return input as Record<string, unknown>;
  throw malformed(`${UNDECODABLE} ${kindOf(input)} into Go value of type client.Client`);
}

function text(document: Readonly<Record<string, unknown>>, field: string): string {
  const value = document[field] ?? '';
  if (typeof value === 'string') return value;
  throw malformed(`${UNDECODABLE} ${kindOf(value)} into Go struct field Client.${field} of type string`);
}

function listOf(document: Readonly<Record<string, unknown>>, field: string): string[] {
  const value = document[field] ?? [];
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value;
  const type = 'sqlxx.StringSliceJSONFormat';
  throw malformed(`${UNDECODABLE} ${kindOf(value)} into Go struct field Client.${field} of type ${type}`);
}

/** What Go's JSON decoder calls a value. */
function kindOf(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  return typeof value === 'boolean' ? 'bool' : typeof value;
}

function withoutSecret(client: HydraClient): HydraClient {
  const { client_secret: _, ...rest } = structuredClone(client);
  return rest as HydraClient;
}

function randomSecret(): string {
  return randomBytes(24).toString('base64url');
}
