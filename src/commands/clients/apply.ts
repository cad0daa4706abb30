import { join } from 'node:path';
import { type Credentials, prepareFolder, readCredentials, writeCredentials } from './credentials.js';
import { type ClientDocument, differences } from './fields.js';
import type { HydraAdmin } from './hydra.js';
import type { ClientManifest } from './manifest.js';

/** What {@link applyClient} did at Hydra. */
export interface Applied {
  readonly did: 'created' | 'updated' | 'unchanged';
  /** The client's id. It is public (RFC 6749 §2.2). */
  readonly id: string;
  /**
   * Ids of clients with the same owner that were deleted: their credentials are lost, or a Secret now sets
   * others.
   */
  readonly removed: readonly string[];
}

/** Hydra could not be brought to match a manifest. The message holds no secret. */
export class ApplyError extends Error {}

/**
 * Brings Hydra to match one manifest, as Hydra Maester does. Without credentials in the folder: deletes
 * clients that this owner left behind, creates a client, and writes its credentials. With credentials:
 * creates a client that Hydra lost again with the same id and secret, replaces one that differs, and refuses
 * to touch one of another owner. It reports success only if Hydra confirmed the client and the credentials
 * are on disk.
 *
 * If a Secret gives the credentials, those are used and written.
 *
 * @param onPage called before each page of Hydra's list of clients
 * @param out the folder that has a subfolder for each client, named after its secret
 * @throws ApplyError, HydraError, CredentialsError, or errors of the file system
 */
export async function applyClient(
  manifest: ClientManifest,
  hydra: HydraAdmin,
  out: string,
  onPage?: (page: number, seen: number) => void,
): Promise<Applied> {
  const folder = join(out, manifest.secretName);
  const kept = await readCredentials(folder);
  if (manifest.given !== undefined) return await adopt(manifest, hydra, folder, manifest.given, kept);
  const { id, secret } = kept;
  if (id === undefined || (secret === undefined && manifest.hasSecret))
    return await register(manifest, hydra, folder, onPage);
  return await reconcile(manifest, hydra, { id, ...(secret === undefined ? {} : { secret }) });
}

async function register(
  manifest: ClientManifest,
  hydra: HydraAdmin,
  folder: string,
  onPage?: (page: number, seen: number) => void,
): Promise<Applied> {
  // Make the folder first. If that fails, Hydra has not yet created a secret that could not be kept.
  await prepareFolder(folder);
  const removed: string[] = [];
  for (const stale of await hydra.findByOwner(manifest.wanted.owner, onPage)) {
    await hydra.delete(idOf(stale));
    removed.push(idOf(stale));
  }
  const client = await hydra.create(manifest.wanted);
  const id = idOf(client);
  try {
    const secret = client.client_secret;
    if (manifest.hasSecret && (typeof secret !== 'string' || secret === '')) {
      throw new ApplyError('Hydra created the client without a secret');
    }
    confirm(manifest, client);
    await writeCredentials(folder, {
      id,
      ...(typeof secret === 'string' && secret !== '' ? { secret } : {}),
    });
  } catch (error) {
    // The client's secret is lost. If the deletion fails too, the next run finds the client by its owner.
    await hydra.delete(id).catch(() => {});
    throw error;
  }
  return { did: 'created', id, removed };
}

/** Uses the credentials that a Secret gives. */
async function adopt(
  manifest: ClientManifest,
  hydra: HydraAdmin,
  folder: string,
  given: Credentials & { readonly id: string },
  kept: Credentials,
): Promise<Applied> {
  await prepareFolder(folder);
  const isKept = kept.id === given.id && kept.secret === given.secret;
  // Hydra does not show a client's secret. So send it, unless the same one was applied before.
  const applied = await reconcile(manifest, hydra, given, !isKept);
  if (!isKept) await writeCredentials(folder, given);
  if (kept.id === undefined || kept.id === given.id) return applied;
  const before = await hydra.get(kept.id);
  if (before?.owner !== manifest.wanted.owner) return applied;
  await hydra.delete(kept.id);
  return { ...applied, removed: [kept.id] };
}

/** @param always whether to replace the client even if it does not differ */
async function reconcile(
  manifest: ClientManifest,
  hydra: HydraAdmin,
  { id, secret }: Credentials & { readonly id: string },
  always = false,
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
    const whose = actual.owner ? `belongs to ${JSON.stringify(actual.owner)}` : 'has no owner';
    throw new ApplyError(
      `the client ${id} ${whose}; the manifest's owner is ${JSON.stringify(owner)}: the client stays unchanged`,
    );
  }
  if (!always && differences(manifest.wanted, actual).length === 0)
    return { did: 'unchanged', id, removed: [] };
  confirm(manifest, await hydra.put(id, client));
  return { did: 'updated', id, removed: [] };
}

/**
 * Hydra may change a client as it stores it. Every later run would then find a difference, so this is an
 * error now.
 */
function confirm(manifest: ClientManifest, client: ClientDocument): void {
  const left = differences(manifest.wanted, client);
  if (client.owner !== manifest.wanted.owner) left.push('owner');
  if (left.length > 0)
    throw new ApplyError(`Hydra stored other values than the manifest has for: ${left.join(', ')}`);
}

function idOf(client: ClientDocument): string {
  return String(client.client_id);
}
