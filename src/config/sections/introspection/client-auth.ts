import { createSecretKey } from 'node:crypto';
import type { AssertionKey } from '../../../model/authorization-server.js';
import { readAssertionKey } from '../../key.js';
import { choice, list, openFile, openSecret, path, text } from '../../kinds.js';
import type { Place } from '../../place.js';
import { Secret } from '../../secret.js';
import { section, type Value } from '../../setting.js';
import { checkEndpoint } from './endpoint.js';

/** `clientAuth` of an authorization server: how the gateway authenticates there. */
export const clientAuth = section('How scopegate authenticates to the authorization server.', {
  method: choice(
    'How scopegate authenticates to the authorization server: none, basic (client_secret_basic), post (client_secret_post), private_key_jwt or client_secret_jwt (a signed assertion, RFC 7523), tls (the certificate of introspection.tls, RFC 8705), bearer (a fixed token) or pre_authorization (a token that scopegate gets for itself, as in Oathkeeper).',
    ['none', 'basic', 'post', 'private_key_jwt', 'client_secret_jwt', 'tls', 'bearer', 'pre_authorization'],
    'none',
  ),
  clientId: text('The client identifier.'),
  clientSecret: text('The client secret; prefer clientSecretFile.'),
  clientSecretFile: path('File that holds the client secret.'),
  keyFile: path(
    'File of the private key of private_key_jwt: PEM (not encrypted) or a JWK. scopegate reads it again when it changes.',
  ),
  keyId: text('The kid of the assertions of private_key_jwt. Absent: that of the JWK, or none.'),
  algorithm: text(
    'The JWS algorithm of the assertions. Absent: that of the JWK, or the one that fits the key (RS256, ES256, ES384, ES512, EdDSA); HS256 with client_secret_jwt.',
  ),
  audience: text(
    'For assertions, their audience (aud): the issuer identifier of the authorization server, or what the server requires instead, such as the URL of its token endpoint. Absent: introspection.issuer. For pre_authorization, the audience that scopegate requests.',
  ),
  token: text('The token of the method bearer; prefer tokenFile.'),
  tokenFile: path('File that holds the token of the method bearer.'),
  tokenUrl: text('The token endpoint of pre_authorization.'),
  scope: list('The scopes that pre_authorization requests.', []),
});

/** The settings of client authentication. Each method uses some of them. */
export type ClientAuthValues = Value<typeof clientAuth>;

type Field = keyof ClientAuthValues;
type Method = ClientAuthValues['method'];

/** How the gateway authenticates at the introspection endpoint (RFC 6749 section 2.3, RFC 7662 section 2.1). */
export type ClientAuth =
  | { readonly method: 'none' }
  | { readonly method: 'basic' | 'post'; readonly clientId: string; readonly clientSecret: Secret }
  | {
      readonly method: 'private_key_jwt' | 'client_secret_jwt';
      readonly clientId: string;
      readonly audience: string;
      /** Returns the key; called at each use. */
      readonly key: () => AssertionKey;
    }
  | { readonly method: 'tls'; readonly clientId: string }
  | { readonly method: 'bearer'; readonly token: Secret }
  | {
      readonly method: 'pre_authorization';
      readonly tokenUrl: string;
      readonly clientId: string;
      readonly clientSecret: Secret;
      readonly scope: readonly string[];
      readonly audience?: string;
    };

/** The two settings for a client secret. A method that has a secret uses one of the two. */
const CLIENT_SECRET = ['clientSecret', 'clientSecretFile'] as const;

/** The settings that each method needs, and those that it takes in addition. */
const METHODS: Readonly<
  Record<Method, { readonly needs: readonly Field[]; readonly takes: readonly Field[] }>
> = {
  none: { needs: [], takes: [] },
  basic: { needs: ['clientId'], takes: CLIENT_SECRET },
  post: { needs: ['clientId'], takes: CLIENT_SECRET },
  private_key_jwt: { needs: ['clientId', 'keyFile', 'audience'], takes: ['keyId', 'algorithm'] },
  client_secret_jwt: { needs: ['clientId', 'audience'], takes: [...CLIENT_SECRET, 'algorithm'] },
  tls: { needs: ['clientId'], takes: [] },
  bearer: { needs: [], takes: ['token', 'tokenFile'] },
  pre_authorization: { needs: ['clientId', 'tokenUrl'], takes: [...CLIENT_SECRET, 'scope', 'audience'] },
};

/** The methods that use the Authorization field. */
const IN_FIELD: ReadonlySet<Method> = new Set<Method>(['basic', 'bearer', 'pre_authorization']);

/** Whether a method of client authentication uses the Authorization field. */
export function fillsAuthorization(method: Method): boolean {
  return IN_FIELD.has(method);
}

/**
 * Settles how the gateway authenticates at one server, and reads the secrets for it.
 *
 * @param issuer the issuer of the server; it is the audience of assertions unless the settings say otherwise
 * @param hasCertificate whether the server's `tls` has a certificate
 */
export function settleClientAuth(
  written: ClientAuthValues,
  issuer: string | undefined,
  hasCertificate: boolean,
  place: Place,
): ClientAuth {
  const { method } = written;
  const values = issuer !== undefined && method.endsWith('_jwt') ? { audience: issuer, ...written } : written;
  checkFields(values, place);
  const { clientId = '', audience, scope } = values;
  switch (method) {
    case 'none':
      return { method };
    case 'basic':
    case 'post':
      return { method, clientId, clientSecret: clientSecret(values, place) };
    case 'bearer':
      return { method, token: secret('token', values.token, values.tokenFile, place) };
    case 'tls':
      if (!hasCertificate) place.error(`the method tls needs ${place.section}.tls.cert`, 'missing-field');
      return { method, clientId };
    case 'private_key_jwt':
      return { method, clientId, audience: audience ?? '', key: privateKey(values, place) };
    case 'client_secret_jwt':
      return { method, clientId, audience: audience ?? '', key: secretKey(values, place) };
    case 'pre_authorization':
      if (values.tokenUrl !== undefined) checkEndpoint(values.tokenUrl, place.at('tokenUrl'));
      return {
        method,
        clientId,
        clientSecret: clientSecret(values, place),
        tokenUrl: values.tokenUrl ?? '',
        scope,
        ...(audience === undefined ? {} : { audience }),
      };
  }
}

function checkFields(values: ClientAuthValues, place: Place): void {
  const { method, scope } = values;
  const { needs, takes } = METHODS[method];
  const meant = new Set<string>(['method', ...needs, ...takes, ...(scope.length === 0 ? ['scope'] : [])]);
  for (const field of Object.keys(values)) {
    if (!meant.has(field))
      place.at(field).problem(`has no effect with method: ${method}; remove it, or change the method`);
  }
  for (const field of needs) if (values[field] === undefined) place.missing(field);
}

function clientSecret({ clientSecret: inline, clientSecretFile }: ClientAuthValues, place: Place): Secret {
  return secret('clientSecret', inline, clientSecretFile, place);
}

/**
 * @param field the setting that holds the secret itself; with `File` appended, the setting that names its
 *   file
 */
function secret(
  field: 'clientSecret' | 'token',
  inline: string | undefined,
  file: string | undefined,
  place: Place,
): Secret {
  const fileField = place.at(`${field}File`);
  if (inline === undefined && file !== undefined) return openSecret(file, fileField);
  if (file !== undefined)
    fileField.error(`${place.at(field).name} and ${fileField.name} cannot both be set; remove one of them`);
  else if (inline === undefined) place.missing(`${field}File`);
  return new Secret(inline ?? '');
}

function privateKey({ keyFile, keyId, algorithm }: ClientAuthValues, place: Place): () => AssertionKey {
  const none = () => {
    throw new Error('no key');
  };
  if (keyFile === undefined) return none;
  const chosen = {
    ...(keyId === undefined ? {} : { keyId }),
    ...(algorithm === undefined ? {} : { algorithm }),
  };
  return openFile(keyFile, place.at('keyFile'), (file) => readAssertionKey(file, chosen), none);
}

function secretKey(values: ClientAuthValues, place: Place): () => AssertionKey {
  const { algorithm = 'HS256' } = values;
  if (!/^HS(256|384|512)$/.test(algorithm)) {
    place.at('algorithm').error('the method client_secret_jwt signs with HS256, HS384 or HS512');
  }
  const secret = clientSecret(values, place);
  return () => ({ key: createSecretKey(secret.reveal(), 'utf8'), algorithm });
}
