import type { Call, Reply, Unavailable } from '../model/outbound.js';

/** The parts of an authorization server's metadata (RFC 8414 §2) that scopegate uses. */
export interface ServerMetadata {
  readonly introspectionUrl?: string;
  /** The introspection endpoint for clients that authenticate with a certificate (RFC 8705 §5). */
  readonly introspectionUrlWithCertificate?: string;
  readonly jwksUrl?: string;
}

/** Metadata that cannot be read or used. The message contains nothing of the document. */
export class MetadataError extends Error {
  /** The failed call; undefined if the server has answered. */
  readonly reply: Unavailable | undefined;

  constructor(message: string, reply?: Unavailable) {
    super(message);
    this.name = 'MetadataError';
    this.reply = reply;
  }
}

/**
 * What the metadata is read for. It decides which of the two documents is tried first: an introspection
 * endpoint is a field of RFC 8414, and key sets are usually published by OpenID providers.
 */
export type MetadataUse = 'introspection' | 'keys';

/**
 * Reads the metadata of an issuer. If the server does not have the first document, the other one is read.
 *
 * @param issuer an http or https URL; the document must name the same one
 * @param send sends one request
 * @throws MetadataError if there is no usable document
 */
export async function fetchMetadata(
  issuer: string,
  use: MetadataUse,
  send: (call: Call & { readonly purpose: 'metadata' }) => Reply | Promise<Reply>,
): Promise<ServerMetadata> {
  const { oauth, openid } = metadataUrls(issuer);
  let status = 0;
  for (const url of use === 'introspection' ? [oauth, openid] : [openid, oauth]) {
    const headers = { accept: 'application/json' };
    const reply = await send({ purpose: 'metadata', url, method: 'GET', headers });
    if (!reply.ok) throw new MetadataError('the metadata of the authorization server cannot be read', reply);
    if (reply.status === 200) return readMetadata(reply.body, issuer);
    status = reply.status;
  }
  throw new MetadataError(`the authorization server answered ${status} for its metadata`);
}

/**
 * Returns the two URLs where an issuer may publish its metadata.
 *
 * @param issuer an http or https URL
 * @returns `oauth` is that of RFC 8414 §3.1, `openid` that of OpenID Connect Discovery §4
 */
function metadataUrls(issuer: string): { readonly oauth: string; readonly openid: string } {
  const { origin, pathname } = new URL(issuer);
  const path = pathname.replace(/\/$/, '');
  return {
    oauth: `${origin}/.well-known/oauth-authorization-server${path}`,
    openid: `${origin}${path}/.well-known/openid-configuration`,
  };
}

/**
 * Reads a metadata document.
 *
 * @param issuer the issuer that was asked; the document must name the same one
 * @throws MetadataError if the document names another issuer or is malformed
 */
function readMetadata(body: string, issuer: string): ServerMetadata {
  let document: unknown;
  try {
    document = JSON.parse(body);
  } catch {
    throw new MetadataError('the metadata of the authorization server is not JSON');
  }
  if (typeof document !== 'object' || document === null) {
    throw new MetadataError('the metadata of the authorization server is not a JSON object');
  }
  const fields = document as Readonly<Record<string, unknown>>;
  // RFC 8414 §3.3. Otherwise a server could answer for another issuer and redirect tokens to itself.
  if (fields.issuer !== issuer)
    throw new MetadataError('the issuer in the metadata is not the one that was asked');
  const aliases = (fields.mtls_endpoint_aliases ?? {}) as Readonly<Record<string, unknown>>;
  const introspectionUrl = urlOf(fields.introspection_endpoint, issuer);
  const introspectionUrlWithCertificate = urlOf(aliases.introspection_endpoint, issuer);
  const jwksUrl = urlOf(fields.jwks_uri, issuer);
  return {
    ...(introspectionUrl === undefined ? {} : { introspectionUrl }),
    ...(introspectionUrlWithCertificate === undefined ? {} : { introspectionUrlWithCertificate }),
    ...(jwksUrl === undefined ? {} : { jwksUrl }),
  };
}

/** Checks an address in the metadata. It must not use http if the issuer uses https. */
function urlOf(value: unknown, issuer: string): string | undefined {
  if (value === undefined) return undefined;
  const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : undefined;
  const protocols = /^https:/i.test(issuer) ? ['https:'] : ['http:', 'https:'];
  if (url === undefined || !protocols.includes(url.protocol) || url.username !== '' || url.hash !== '') {
    throw new MetadataError('the metadata of the authorization server has an unusable address');
  }
  return url.href;
}
