import { join } from 'node:path';
import { type Credentials, prepareFolder, readCredentials, writeCredentials } from './credentials.js';
import { type ClientDocument, differences } from './fields.js';
import type { HydraAdmin } from './hydra.js';
import type { ClientManifest } from './manifest.js';

/** What was done to make a manifest true. */
export interface Applied {
  readonly did: 'created' | 'updated' | 'unchanged';
  /** The client's id; it is public (RFC 6749 section 2.2). */
  readonly id: string;
  /** Clients of the same owner that were deleted, because their credentials are lost. */
  readonly removed: readonly string[];
}

/** A manifest that could not be made true, in words that hold no secret. */
export class ApplyError extends Error {}

/**
 * Makes one manifest true, as Hydra Maester reconciles it. Without credentials, clients that this owner left behind
 * are deleted, a client is created and its credentials are written. With credentials, a client that Hydra lost is
 * created again with the same id and secret, one that differs is replaced, and one of another owner is an error.
 * Success is told only of what Hydra confirmed and the disk holds.
 *
 * @param out the folder in which each client has one named after its secret
 * @throws ApplyError, HydraError, CredentialsError, or the file system's errors
 */
export async function applyClient(
  manifest: ClientManifest,
  hydra: HydraAdmin,
  out: string,
): Promise<Applied> {
  const folder = join(out, manifest.secretName);
  const { id, secret } = await readCredentials(folder);
  if (id === undefined || (secret === undefined && manifest.hasSecret))
    return await register(manifest, hydra, folder);
  return await reconcile(manifest, hydra, { id, ...(secret === undefined ? {} : { secret }) });
}

async function register(manifest: ClientManifest, hydra: HydraAdmin, folder: string): Promise<Applied> {
  // Before Hydra is asked for a secret, for then there would be nowhere to keep it.
  await prepareFolder(folder);
  const removed: string[] = [];
  for (const stale of await hydra.findByOwner(manifest.wanted.owner)) {
    await hydra.delete(idOf(stale));
    removed.push(idOf(stale));
  }
  const client = await hydra.create(manifest.wanted);
  const id = idOf(client);
  try {
    const secret = client.client_secret;
    if (manifest.hasSecret && (typeof secret !== 'string' || secret === '')) {
      throw new ApplyError('Hydra made no secret for the client');
    }
    confirm(manifest, client);
    await writeCredentials(folder, {
      id,
      ...(typeof secret === 'string' && secret !== '' ? { secret } : {}),
    });
  } catch (error) {
    // Nobody will ever know this client's secret. If this fails too, the next run finds the client by its owner.
    await hydra.delete(id).catch(() => {});
    throw error;
  }
  return { did: 'created', id, removed };
}

async function reconcile(
  manifest: ClientManifest,
  hydra: HydraAdmin,
  { id, secret }: Credentials & { readonly id: string },
): Promise<Applied> {
  const client = {
    ...manifest.wanted,
    client_id: id,
    ...(secret === undefined ? {} : { client_secret: secret }),
  };
  const actual = await hydra.get(id);
  if (actual === undefined) {
    const created = await hydra.create(client);
    if (idOf(created) !== id)
      throw new ApplyError(`Hydra created the client as ${idOf(created)} instead of ${id}`);
    confirm(manifest, created);
    return { did: 'created', id, removed: [] };
  }
  const { owner } = manifest.wanted;
  if (actual.owner !== owner) {
    const whose = actual.owner ? `belongs to ${JSON.stringify(actual.owner)}` : 'belongs to nobody';
    throw new ApplyError(`the client ${id} ${whose}, not to ${JSON.stringify(owner)}; it is left alone`);
  }
  if (differences(manifest.wanted, actual).length === 0) return { did: 'unchanged', id, removed: [] };
  confirm(manifest, await hydra.put(id, client));
  return { did: 'updated', id, removed: [] };
}

/** A client that Hydra changed on its way in would be drift for ever: better to say so once. */
function confirm(manifest: ClientManifest, client: ClientDocument): void {
  const left = differences(manifest.wanted, client);
  if (client.owner !== manifest.wanted.owner) left.push('owner');
  if (left.length > 0)
    throw new ApplyError(`Hydra did not take the client as it is wanted: ${left.join(', ')}`);
}

function idOf(client: ClientDocument): string {
  return String(client.client_id);
}
