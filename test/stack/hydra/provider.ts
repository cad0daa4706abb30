import { randomBytes, randomUUID } from 'node:crypto';
import { exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose';
import type OidcProvider from 'oidc-provider';
import { type Clients, oidcMetadata } from './client.js';
import { canonical } from './spellings.js';
import { Store } from './store.js';

const Provider = await quietly();

/** oidc-provider warns of every Node but its favourite, which is no concern of who tries this stack. */
async function quietly(): Promise<typeof OidcProvider> {
  const { warn } = console;
  console.warn = () => {};
  try {
    return (await import('oidc-provider')).default;
  } finally {
    console.warn = warn;
  }
}

/** An access token as it lies in the store. */
export interface StoredToken {
  readonly clientId: string;
  readonly scope: string;
  readonly aud: readonly string[];
  readonly iat: number;
  readonly exp: number;
}

/** The tokens and keys of the authorization server, kept by oidc-provider. */
export interface Core {
  /** Makes a token. */
  issue(token: {
    clientId: string;
    scope: string;
    aud: string[];
    lifetime: number;
    prefix: string;
  }): Promise<string>;
  /** Finds a token by any of the spellings that Hydra takes. */
  find(token: string): Promise<StoredToken | undefined>;
  revoke(token: string): Promise<void>;
  /** The public keys that are published: of ID tokens and of access tokens, the newest first. */
  readonly keys: readonly JWK[];
  /** Signs a JWT with the newest key of access tokens, as Hydra does with `strategies.access_token: jwt`. */
  sign(claims: JWTPayload): Promise<string>;
  /** Makes a new key of access tokens, published and used at once. */
  rotateKeys(): Promise<void>;
}

/**
 * Builds the core.
 *
 * @param issuer the issuer identifier, `http://host:port`
 */
export async function createCore(issuer: string, clients: Clients): Promise<Core> {
  const store = new Store((id) => {
    const client = clients.get(id);
    return client && oidcMetadata(client);
  });
  const idTokens = await firstKey();
  const accessTokens = [await firstKey()];
  const provider = new Provider(issuer, {
    adapter: (model) => store.adapter(model),
    jwks: { keys: [{ ...idTokens, kid: 'internal' }] },
    cookies: { keys: [randomBytes(16).toString('hex')] },
    // Hydra's tokens end on the second; oidc-provider would give them a while longer.
    clockTolerance: 0,
    clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'none'],
    features: { devInteractions: { enabled: false }, clientCredentials: { enabled: true } },
  });
  const find = (token: string) => provider.ClientCredentials.find(canonical(token));

  return {
    async issue({ clientId, scope, aud, lifetime: expiresIn, prefix }) {
      const client = await provider.Client.find(clientId);
      if (client === undefined) throw new Error(`no client ${clientId}`);
      const token = new provider.ClientCredentials({ client, scope, aud, expiresIn });
      return await named(token, prefix).save();
    },
    async find(token) {
      const found = await find(token);
      if (found?.clientId === undefined || found.exp === undefined) return undefined;
      const aud = [found.aud ?? []].flat();
      return { clientId: found.clientId, scope: found.scope ?? '', aud, iat: found.iat, exp: found.exp };
    },
    async revoke(token) {
      await (await find(token))?.destroy();
    },
    get keys() {
      return [idTokens, ...accessTokens].map(({ use = 'sig', kty, kid, alg, n, e }) => ({
        use,
        kty,
        kid,
        alg,
        n,
        e,
      })) as JWK[];
    },
    async sign(claims) {
      const key = accessTokens[0] as JWK;
      return await new SignJWT(claims)
        .setProtectedHeader({ alg: 'RS256', kid: key.kid ?? '', typ: 'JWT' })
        .sign(key);
    },
    async rotateKeys() {
      accessTokens.unshift({ ...(await newKey()), kid: randomUUID() });
    },
  };
}

let key: Promise<JWK> | undefined;

/** One key for all servers of a process: making one takes longer than everything else at start. */
async function firstKey(): Promise<JWK> {
  key ??= newKey();
  return { ...(await key), kid: randomUUID() };
}

async function newKey(): Promise<JWK> {
  const { privateKey } = await generateKeyPair('RS256', { extractable: true });
  return { ...(await exportJWK(privateKey)), alg: 'RS256', use: 'sig' };
}

type Token = InstanceType<OidcProvider['ClientCredentials']>;

/** Gives a new opaque token its value, which looks as Hydra v2's: a prefix and two random parts. */
function named(token: Token, prefix: string): Token {
  const part = () => randomBytes(32).toString('base64url');
  return Object.assign(token, { jti: `${prefix}${part()}.${part()}`, format: 'opaque' });
}
