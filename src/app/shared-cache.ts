import type { Invalidation } from '../auth/introspection/invalidation.js';
import { Seal } from '../auth/introspection/seal.js';
import { channelOf, SharedCache } from '../auth/introspection/shared-cache.js';
import type { Settings } from '../config/settings.js';
import type { Clock } from '../model/clock.js';
import { readPemFile } from '../model/text-file.js';
import { openStore } from '../outbound/redis/open.js';
import { certificatesIn } from '../tls/identity.js';

/** Is told what comes from the shared store. It may come before the promise of the cache is resolved. */
export interface SharedCacheEvents {
  /** Another gateway has purged. */
  revoked(which: Invalidation): void;
  /** Purges of other gateways are heard from now on; those before may have been missed. */
  listening(): void;
  /** Purges of other gateways are not heard any more. */
  deaf(): void;
  /** The store was of no use. @param cause a code */
  failed(cause: string): void;
}

/** Opens the second tier of the cache. @returns undefined where the settings have none */
export async function openSharedCache(
  { introspection: { cache, connectTimeout } }: Settings,
  clock: Clock,
  { revoked, listening, deaf, failed }: SharedCacheEvents,
): Promise<SharedCache | undefined> {
  const { shared: settings } = cache;
  if (settings === undefined) return undefined;
  const { place, username, password, ca, keys, prefix } = settings;
  let shared: SharedCache | undefined;
  const store = await openStore(
    {
      place,
      connectTimeout,
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password: () => password.reveal() }),
      ...(ca === undefined ? {} : { ca: certificatesIn(readPemFile(ca)) }),
    },
    channelOf(prefix),
    {
      message(text) {
        const revocation = shared?.readRevocation(text);
        if (revocation !== undefined) revoked(revocation);
      },
      listening,
      deaf,
      failed,
    },
  );
  shared = new SharedCache(store, new Seal(keys), { ...settings, ttl: cache.ttl }, clock, failed);
  return shared;
}
