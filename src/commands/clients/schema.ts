import { lifespans } from './fields.js';

/** The API group of Hydra Maester's resources. */
export const GROUP = 'hydra.ory.sh';

const text = { type: 'string' } as const;
const flag = { type: 'boolean' } as const;
const uri = { type: 'string', title: 'an absolute URI', pattern: '^([a-zA-Z][a-zA-Z0-9+.-]*:.+)?$' } as const;
const uris = { type: 'array', items: { ...uri, pattern: '^[a-zA-Z][a-zA-Z0-9+.-]*:.+$' } } as const;
const texts = { type: 'array', items: text } as const;
const scope = { type: 'string', title: 'a scope (RFC 6749 section 3.3)' } as const;
const name = {
  type: 'string',
  title: "the name of a Kubernetes resource (lower-case letters, digits, '-' and '.')",
  pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$',
  maxLength: 253,
} as const;

const spec = {
  type: 'object',
  additionalProperties: false,
  required: ['grantTypes', 'secretName'],
  properties: {
    accessTokenStrategy: { enum: ['', 'jwt', 'opaque'] },
    allowedCorsOrigins: uris,
    audience: texts,
    backChannelLogoutSessionRequired: flag,
    backChannelLogoutURI: uri,
    clientName: text,
    clientSecretExpiresAt: { type: 'integer', minimum: 0 },
    clientUri: uri,
    contacts: texts,
    deletionPolicy: { enum: ['', 'delete', 'orphan'] },
    frontChannelLogoutSessionRequired: flag,
    frontChannelLogoutURI: uri,
    grantTypes: {
      type: 'array',
      minItems: 1,
      maxItems: 4,
      items: { enum: ['client_credentials', 'authorization_code', 'implicit', 'refresh_token'] },
    },
    hydraAdmin: {
      type: 'object',
      additionalProperties: false,
      properties: {
        endpoint: { type: 'string', title: 'a path', pattern: '^(/.*)?$' },
        forwardedProto: { enum: ['', 'http', 'https', 'off'] },
        port: { type: 'integer', minimum: 0, maximum: 65_535 },
        url: { type: 'string', title: 'an http or https URL', pattern: '^(https?://.*)?$' },
      },
    },
    jwksUri: uri,
    logoUri: uri,
    metadata: { type: ['object', 'null'] },
    policyUri: uri,
    postLogoutRedirectUris: uris,
    redirectUris: uris,
    requestObjectSigningAlg: text,
    requestUris: uris,
    responseTypes: {
      type: 'array',
      items: {
        enum: [
          'code',
          'token',
          'id_token',
          'code token',
          'code id_token',
          'id_token token',
          'code id_token token',
        ],
      },
    },
    scope: { ...scope, pattern: '^[\\x20-\\x21\\x23-\\x5B\\x5D-\\x7E]*$' },
    scopeArray: { type: 'array', items: { ...scope, pattern: '^[\\x21\\x23-\\x5B\\x5D-\\x7E]+$' } },
    secretName: name,
    sectorIdentifierUri: uri,
    skipConsent: flag,
    skipLogoutConsent: flag,
    subjectType: { enum: ['', 'public', 'pairwise'] },
    tokenEndpointAuthMethod: {
      enum: ['', 'client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'],
    },
    tokenEndpointAuthSigningAlg: text,
    tokenLifespans: {
      type: 'object',
      additionalProperties: false,
      properties: Object.fromEntries(
        lifespans.map((lifespan) => [
          lifespan,
          { type: 'string', title: 'a duration such as 30m or 1h', pattern: '^([0-9]+(ns|us|ms|s|m|h))*$' },
        ]),
      ),
    },
    tosUri: uri,
    userinfoSignedResponseAlg: text,
  },
};

/**
 * JSON Schema (draft-07) of an OAuth2Client (`hydra.ory.sh/v1alpha1`), including the fields that kubectl
 * adds.
 */
export const clientSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['apiVersion', 'kind', 'metadata', 'spec'],
  properties: {
    apiVersion: { const: `${GROUP}/v1alpha1` },
    kind: { const: 'OAuth2Client' },
    metadata: { type: 'object', required: ['name'], properties: { name, namespace: name } },
    spec,
    status: {},
  },
};
