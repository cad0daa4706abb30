import { pathOfUrl } from '../model/file-error.js';
import { METADATA_OF, type Unavailable } from '../model/outbound.js';
import { readRegularFile, UnusableFile } from '../model/text-file.js';
import type { HttpClient } from './http-client.js';
import type { ReadKeys } from './key-sets.js';
import { fetchMetadata, MetadataError } from './server-metadata.js';

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
    return { ok: true, body: await readRegularFile(pathOfUrl(url)) };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return unavailable(
      error instanceof UnusableFile ? error.message : `the file cannot be read (${code ?? 'unknown'})`,
    );
  }
}

async function readFromUrl(url: string, client: HttpClient, deadline: AbortSignal): Promise<Document> {
  const call = { purpose: 'keys', url, method: 'GET', headers: { accept: 'application/json' } } as const;
  const reply = await client.call(call, deadline);
  return !reply.ok || reply.status === 200 ? reply : unavailable(`it answered ${reply.status}`);
}

/** Finds the key set of an issuer by its metadata. */
async function findKeySet(
  issuer: string,
  client: HttpClient,
  deadline: AbortSignal,
): Promise<string | Unavailable> {
  try {
    const metadata = await fetchMetadata(issuer, 'keys', (call) => client.call(call, deadline));
    return metadata.jwksUrl ?? unavailable('the metadata has no jwks_uri');
  } catch (error) {
    if (!(error instanceof MetadataError)) throw error;
    const { message, reply } = error;
    return reply === undefined
      ? unavailable(message)
      : { ...reply, cause: `the metadata cannot be read: ${reply.cause}` };
  }
}

function unavailable(cause: string): Unavailable {
  return { ok: false, cause, retryAfter: 1 };
}
