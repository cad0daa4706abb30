import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { exportJWK, generateKeyPair } from 'jose';
import Provider, { type ClientMetadata } from 'oidc-provider';
import type { Scope } from '../gateway.js';
import type { Certificate } from '../stack/certificate.js';

/** An authorization server as its makers ship it: client authentication, discovery and signed answers are its own. */
export interface RealProvider {
  readonly issuer: string;
  readonly introspectionUrl: string;
  readonly tokenUrl: string;
  /** A token with the scope `read` of a client that is not the gateway. */
  issue(): Promise<string>;
}

/** The server's metadata documents' path, and where it listens. */
export interface RealProviderOptions {
  /** How the gateway is registered; its `client_id` is `gateway`. */
  readonly gateway: Partial<ClientMetadata>;
  /** TLS with client certificates asked for, of whatever authority. */
  readonly certificate?: Certificate;
  /** Sees every request first. */
  readonly tap?: RequestListener;
}

const signing = generateKeyPair('RS256', { extractable: true }).then(async ({ privateKey }) => ({
  ...(await exportJWK(privateKey)),
  alg: 'RS256',
  use: 'sig',
  kid: 'as-1',
}));

/** Starts one on a free loopback port; it ends with the test. */
export async function startProvider(t: Scope, options: RealProviderOptions): Promise<RealProvider> {
  const { certificate } = options;
  let handle: RequestListener = () => {};
  const listener: RequestListener = (message, response) => {
    options.tap?.(message, response);
    if (!response.writableEnded) handle(message, response);
  };
  const server =
    certificate === undefined
      ? createServer(listener)
      : createHttpsServer({ ...certificate, requestCert: true, rejectUnauthorized: false }, listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const issuer = `${certificate === undefined ? 'http' : 'https'}://127.0.0.1:${port}`;
  const provider = new Provider(issuer, {
    jwks: { keys: [await signing] },
    cookies: { keys: ['test'] },
    scopes: ['read'],
    clientAuthMethods: [
      'client_secret_basic',
      'private_key_jwt',
      'client_secret_jwt',
      'self_signed_tls_client_auth',
    ],
    enabledJWA: { introspectionSigningAlgValues: ['RS256'] },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
      jwtIntrospection: { enabled: true },
      mTLS: {
        enabled: true,
        selfSignedTlsClientAuth: true,
        getCertificate: (ctx) => {
          const found = (ctx.req.socket as TLSSocket).getPeerX509Certificate?.();
          return found?.toString();
        },
      },
    },
    clients: [
      { client_id: 'app', client_secret: 'app-secret', scope: 'read', ...MACHINE },
      { client_id: 'gateway', ...MACHINE, ...options.gateway } as ClientMetadata,
    ],
  });
  handle = provider.callback();
  return {
    issuer,
    introspectionUrl: `${issuer}/token/introspection`,
    tokenUrl: `${issuer}/token`,
    async issue() {
      const client = await provider.Client.find('app');
      if (client === undefined) throw new Error('no client');
      return await new provider.ClientCredentials({ client, scope: 'read' }).save();
    },
  };
}

const MACHINE = { grant_types: ['client_credentials'], redirect_uris: [], response_types: [] };
