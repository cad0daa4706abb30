import { isDeepStrictEqual } from 'node:util';
import { goDurationNanoseconds } from '../../model/duration.js';

/** A client as Hydra's admin API reads and writes it. */
export type ClientDocument = Readonly<Record<string, unknown>>;

/** How the values of a field are compared. */
type Kind =
  /** As they are. */
  | 'value'
  /** As lists whose order does not matter. */
  | 'set'
  /** As space-separated lists whose order does not matter. */
  | 'words'
  /** As lists of origins whose order does not matter: Hydra removes a slash at the end. */
  | 'origins'
  /** As Go durations: Hydra returns `1h` as `1h0m0s`. */
  | 'duration'
  /** As a time that Hydra may not store: it then returns 0. */
  | 'optional time';

/** A field of an OAuth2Client's spec that maps to a field of Hydra's client. */
export interface Field {
  /** The path in the manifest's spec. */
  readonly spec: readonly [string] | readonly [string, string];
  /** The name in Hydra's client. */
  readonly hydra: string;
  readonly kind: Kind;
  /**
   * The values that Hydra fills in if the client does not set the field. They do not differ from a manifest
   * without the field.
   */
  readonly filled?: readonly unknown[];
}

const LIFESPANS = [
  'authorization_code_grant_access_token_lifespan',
  'authorization_code_grant_id_token_lifespan',
  'authorization_code_grant_refresh_token_lifespan',
  'client_credentials_grant_access_token_lifespan',
  'implicit_grant_access_token_lifespan',
  'implicit_grant_id_token_lifespan',
  'jwt_bearer_grant_access_token_lifespan',
  'refresh_token_grant_access_token_lifespan',
  'refresh_token_grant_id_token_lifespan',
  'refresh_token_grant_refresh_token_lifespan',
] as const;

/** The token lifespans of a manifest. They have the same names as at Hydra. */
export const lifespans: readonly string[] = LIFESPANS;

/** Every field of the spec that goes to Hydra, except `scope` and `scopeArray`, which are one field there. */
export const fields: readonly Field[] = [
  { spec: ['clientName'], hydra: 'client_name', kind: 'value' },
  { spec: ['grantTypes'], hydra: 'grant_types', kind: 'set' },
  { spec: ['responseTypes'], hydra: 'response_types', kind: 'set', filled: [['code']] },
  { spec: ['redirectUris'], hydra: 'redirect_uris', kind: 'set' },
  { spec: ['requestUris'], hydra: 'request_uris', kind: 'set' },
  { spec: ['postLogoutRedirectUris'], hydra: 'post_logout_redirect_uris', kind: 'set' },
  { spec: ['allowedCorsOrigins'], hydra: 'allowed_cors_origins', kind: 'origins' },
  { spec: ['audience'], hydra: 'audience', kind: 'set' },
  { spec: ['skipConsent'], hydra: 'skip_consent', kind: 'value' },
  { spec: ['skipLogoutConsent'], hydra: 'skip_logout_consent', kind: 'value' },
  {
    spec: ['tokenEndpointAuthMethod'],
    hydra: 'token_endpoint_auth_method',
    kind: 'value',
    filled: ['client_secret_basic'],
  },
  { spec: ['tokenEndpointAuthSigningAlg'], hydra: 'token_endpoint_auth_signing_alg', kind: 'value' },
  { spec: ['metadata'], hydra: 'metadata', kind: 'value' },
  { spec: ['jwksUri'], hydra: 'jwks_uri', kind: 'value' },
  {
    spec: ['frontChannelLogoutSessionRequired'],
    hydra: 'frontchannel_logout_session_required',
    kind: 'value',
  },
  { spec: ['frontChannelLogoutURI'], hydra: 'frontchannel_logout_uri', kind: 'value' },
  { spec: ['backChannelLogoutSessionRequired'], hydra: 'backchannel_logout_session_required', kind: 'value' },
  { spec: ['backChannelLogoutURI'], hydra: 'backchannel_logout_uri', kind: 'value' },
  { spec: ['logoUri'], hydra: 'logo_uri', kind: 'value' },
  { spec: ['clientUri'], hydra: 'client_uri', kind: 'value' },
  { spec: ['policyUri'], hydra: 'policy_uri', kind: 'value' },
  { spec: ['tosUri'], hydra: 'tos_uri', kind: 'value' },
  { spec: ['contacts'], hydra: 'contacts', kind: 'set' },
  { spec: ['accessTokenStrategy'], hydra: 'access_token_strategy', kind: 'value' },
  { spec: ['clientSecretExpiresAt'], hydra: 'client_secret_expires_at', kind: 'optional time' },
  { spec: ['subjectType'], hydra: 'subject_type', kind: 'value', filled: ['public'] },
  { spec: ['sectorIdentifierUri'], hydra: 'sector_identifier_uri', kind: 'value' },
  { spec: ['requestObjectSigningAlg'], hydra: 'request_object_signing_alg', kind: 'value' },
  {
    spec: ['userinfoSignedResponseAlg'],
    hydra: 'userinfo_signed_response_alg',
    kind: 'value',
    filled: ['none'],
  },
  ...LIFESPANS.map((name): Field => ({ spec: ['tokenLifespans', name], hydra: name, kind: 'duration' })),
];

/** Also compared, but built from two fields of the spec. */
const COMPUTED: readonly Field[] = [
  { spec: ['scope'], hydra: 'scope', kind: 'words', filled: ['offline_access offline openid'] },
];

/**
 * Compares a client with a manifest. A field that the manifest leaves out must be empty at Hydra or hold
 * Hydra's own default: anything else was added by hand and counts as a difference.
 *
 * @returns the names of Hydra's fields that differ
 */
export function differences(wanted: ClientDocument, actual: ClientDocument): string[] {
  return [...fields, ...COMPUTED].filter((field) => !agrees(field, wanted, actual)).map(({ hydra }) => hydra);
}

function agrees(
  { hydra, kind, filled = [] }: Field,
  wanted: ClientDocument,
  actual: ClientDocument,
): boolean {
  const [want, have] = [normal(kind, wanted[hydra]), normal(kind, actual[hydra])];
  if (kind === 'optional time' && have === undefined) return true;
  if (want !== undefined) return isDeepStrictEqual(want, have);
  return have === undefined || filled.some((value) => isDeepStrictEqual(normal(kind, value), have));
}

/** Brings equal values into one form. Returns undefined for all ways to write no value. */
function normal(kind: Kind, value: unknown): unknown {
  if (value === undefined || value === null || value === '' || value === false || value === 0)
    return undefined;
  // A value of another type differs from every value that a manifest can have.
  if (kind === 'words' && typeof value === 'string')
    return normal(
      'set',
      value.split(/\s+/).filter((word) => word !== ''),
    );
  if (kind === 'set' && Array.isArray(value))
    return value.length === 0 ? undefined : [...new Set(value)].sort();
  if (kind === 'origins' && Array.isArray(value))
    return normal(
      'set',
      value.map((origin) => (typeof origin === 'string' ? origin.replace(/\/+$/, '') : origin)),
    );
  // A text that is no duration differs from every duration.
  if (kind === 'duration' && typeof value === 'string')
    return (goDurationNanoseconds(value) ?? value) || undefined;
  if (typeof value === 'object' && Object.keys(value).length === 0) return undefined;
  return value;
}
