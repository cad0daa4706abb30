import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { METADATA_OF, type Unavailable } from '../model/outbound.js';
import { decodeText, NotText } from '../model/text-file.js';
import type { HttpClient } from './http-client.js';
import type { ReadKeys } from './key-sets.js';
import { MetadataError, metadataUrls, readMetadata } from './server-metadata.js';

/**
 * Returns a function that reads JWKS documents: from files, over HTTP, or by the metadata of an issuer. A read
 * has one deadline, however many calls it makes.
 */
export function keyReader(client: HttpClient): ReadKeys {
  return async (location) => {
    if (location.startsWith('file:')) return await readFromFile(location);
    const deadline = client.deadline();
    if (!location.startsWith(METADATA_OF)) return await readFromUrl(location, client, deadline);
    const url = await findKeySet(location.slice(METADATA_OF.length), client, deadline);
    return typeof url === 'string' ? await readFromUrl(url, client, deadline) : url;
  };
}

type Document = { readonly ok: true; readonly body: string } | Unavailable;

async function readFromFile(url: string): Promise<Document> {
  try {
    return { ok: true, body: decodeText(await readFile(fileURLToPath(url))) };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return unavailable(
      error instanceof NotText ? error.message : `the file cannot be read (${code ?? 'unknown'})`,
    );
  }
}

async function readFromUrl(url: string, client: HttpClient, deadline: AbortSignal): Promise<Document> {
  const reply = await get('keys', url, client, deadline);
  return !reply.ok || reply.status === 200 ? reply : unavailable(`it answered ${reply.status}`);
}

/**
 * Finds the key set of an issuer by its metadata: first as OpenID Connect Discovery 1.0 §4 says, then, if there is
 * no such document, as RFC 8414 §3 says.
 */
async function findKeySet(
  issuer: string,
  client: HttpClient,
  deadline: AbortSignal,
): Promise<string | Unavailable> {
  const { openid, oauth } = metadataUrls(issuer);
  let status = 0;
  for (const url of [openid, oauth]) {
    const reply = await get('metadata', url, client, deadline);
    if (!reply.ok) return { ...reply, cause: `the metadata cannot be read: ${reply.cause}` };
    if (reply.status === 200) return keySetOf(reply.body, issuer);
    status = reply.status;
  }
  return unavailable(`the authorization server answered ${status} for its metadata`);
}

function keySetOf(body: string, issuer: string): string | Unavailable {
  try {
    return readMetadata(body, issuer).jwksUrl ?? unavailable('the metadata has no jwks_uri');
  } catch (error) {
    if (!(error instanceof MetadataError)) throw error;
    return unavailable(error.message);
  }
}

function get(
  purpose: 'keys' | 'metadata',
  url: string,
  client: HttpClient,
  deadline: AbortSignal,
): ReturnType<HttpClient['call']> {
  const call = { purpose, url, method: 'GET', headers: { accept: 'application/json' } } as const;
  return client.call(call, deadline);
}

function unavailable(cause: string): Unavailable {
  return { ok: false, cause, retryAfter: 1 };
}
