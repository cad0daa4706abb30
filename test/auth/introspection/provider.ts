import type { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { exportJWK, generateKeyPair } from 'jose';
import Provider, { type ClientMetadata, type KoaContextWithOIDC } from 'oidc-provider';
import type { Scope } from '../../gateway.js';
import type { Certificate } from '../../stack/certificate.js';

/** An authorization server as its makers ship it: client authentication, discovery and signed answers are its own. */
export interface RealProvider {
  readonly issuer: string;
  readonly introspectionUrl: string;
  readonly tokenUrl: string;
  readonly revocationUrl: string;
  /** A token with the scope `read` of a client that is not the gateway. */
  issue(): Promise<string>;
}

/** The server's metadata documents' path, and where it listens. */
export interface RealProviderOptions {
  /** How the gateway is registered; its `client_id` is `gateway`. */
  readonly gateway: Partial<ClientMetadata>;
  /** What is different about the other client, `app`, whose secret is {@link APP_SECRET}. */
  readonly app?: Partial<ClientMetadata>;
  /** False: it knows no signed answers. */
  readonly signs?: false;
  /** TLS with client certificates asked for, of whatever authority. */
  readonly certificate?: Certificate;
  /** Certificates are asked for at a listener of its own, which the metadata names (RFC 8705 §5), and at no other. */
  readonly alias?: true;
  /** PEM of the authorities by which `tls_client_auth` goes. */
  readonly clientCa?: string;
  /** Sees every request first. */
  readonly tap?: RequestListener;
}

export const APP_SECRET = 'app-secret';

const signing = generateKeyPair('RS256', { extractable: true }).then(async ({ privateKey }) => ({
  ...(await exportJWK(privateKey)),
  alg: 'RS256',
  use: 'sig',
  kid: 'as-1',
}));

/** Starts one on a free loopback port; it ends with the test. */
export async function startProvider(t: Scope, options: RealProviderOptions): Promise<RealProvider> {
  const { certificate, clientCa } = options;
  let handle: RequestListener = () => {};
  const listener: RequestListener = (message, response) => {
    options.tap?.(message, response);
    if (!response.writableEnded) handle(message, response);
  };
  /** @returns the port */
  async function listen(requestCert: boolean): Promise<number> {
    const server =
      certificate === undefined
        ? createServer(listener)
        : createHttpsServer(
            {
              cert: certificate.cert,
              key: certificate.key,
              ca: clientCa ?? certificate.ca,
              requestCert,
              rejectUnauthorized: false,
            },
            listener,
          );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.teardown(() => {
      server.closeAllConnections();
      server.close();
    });
    return (server.address() as AddressInfo).port;
  }
  const port = await listen(options.alias !== true);
  const aliases =
    options.alias === true
      ? { introspection_endpoint: `https://127.0.0.1:${await listen(true)}/token/introspection` }
      : undefined;
  const issuer = `${certificate === undefined ? 'http' : 'https'}://127.0.0.1:${port}`;
  const provider = new Provider(issuer, {
    discovery: aliases === undefined ? {} : { mtls_endpoint_aliases: aliases },
    jwks: { keys: [await signing] },
    cookies: { keys: ['test'] },
    scopes: ['read'],
    clientAuthMethods: [
      'client_secret_basic',
      'client_secret_post',
      'private_key_jwt',
      'client_secret_jwt',
      'self_signed_tls_client_auth',
      'tls_client_auth',
    ],
    enabledJWA: options.signs === false ? {} : { introspectionSigningAlgValues: ['RS256'] },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
      encryption: { enabled: true },
      jwtIntrospection: { enabled: options.signs !== false },
      revocation: { enabled: true },
      dPoP: { enabled: true },
      mTLS: {
        enabled: true,
        certificateBoundAccessTokens: true,
        selfSignedTlsClientAuth: true,
        tlsClientAuth: true,
        getCertificate: (ctx) => shownBy(ctx)?.toString(),
        certificateAuthorized: (ctx) => (ctx.req.socket as TLSSocket).authorized,
        certificateSubjectMatches: (ctx, property, expected) =>
          property === 'tls_client_auth_san_dns' && shownBy(ctx)?.checkHost(expected) !== undefined,
      },
    },
    clients: [
      { client_id: 'app', client_secret: APP_SECRET, scope: 'read', ...MACHINE, ...options.app },
      { client_id: 'gateway', ...MACHINE, ...options.gateway } as ClientMetadata,
    ],
  });
  handle = provider.callback();
  return {
    issuer,
    introspectionUrl: `${issuer}/token/introspection`,
    tokenUrl: `${issuer}/token`,
    revocationUrl: `${issuer}/token/revocation`,
    async issue() {
      const client = await provider.Client.find('app');
      if (client === undefined) throw new Error('no client');
      return await new provider.ClientCredentials({ client, scope: 'read' }).save();
    },
  };
}

function shownBy({ req }: KoaContextWithOIDC): X509Certificate | undefined {
  return (req.socket as TLSSocket).getPeerX509Certificate?.();
}

const MACHINE = { grant_types: ['client_credentials'], redirect_uris: [], response_types: [] };
