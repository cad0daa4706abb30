import type { Invalidation } from '../auth/introspection/invalidation.js';
import { Seal } from '../auth/introspection/seal.js';
import { channelOf, SharedCache } from '../auth/introspection/shared-cache.js';
import { UnreadableMessages } from '../auth/introspection/unreadable-messages.js';
import type { Settings } from '../config/settings.js';
import type { Clock } from '../model/clock.js';
import { readPemFile } from '../model/text-file.js';
import { openStore } from '../outbound/redis/open-store.js';
import { certificatesIn } from '../tls/identity.js';

/** Receives events of the shared store. The first may come before the promise of the cache is resolved. */
export interface SharedCacheEvents {
  /** Another gateway has purged, or may have: a message that cannot be decrypted counts as a purge of all. */
  revoked(which: Invalidation): void;
  /** This gateway now receives the purges of other gateways. It may have missed earlier ones. */
  listening(): void;
  /** This gateway does not receive the purges of other gateways any more. */
  deaf(): void;
  /**
   * A call to the store failed.
   *
   * @param cause a code
   */
  failed(cause: string): void;
  /** A command succeeded. */
  succeeded(): void;
}

/**
 * Opens the second tier of the cache.
 *
 * @returns undefined if the settings have none
 */
export async function openSharedCache(
  { introspection: { cache, connectTimeout } }: Settings,
  clock: Clock,
  { revoked, listening, deaf, failed, succeeded }: SharedCacheEvents,
): Promise<SharedCache | undefined> {
  const { shared: settings } = cache;
  if (settings === undefined) return undefined;
  const { place, username, password, ca, keys, prefix } = settings;
  let shared: SharedCache | undefined;
  const unreadable = new UnreadableMessages(() => revoked('all'));
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
        if (shared === undefined) return;
        const revocation = shared.readRevocation(text);
        if (revocation !== undefined) return revoked(revocation);
        failed('message: no configured key decrypts it, so all cached answers are forgotten');
        unreadable.arrived();
      },
      listening,
      deaf,
      failed,
    },
  );
  shared = new SharedCache(store, new Seal(keys), { ...settings, ttl: cache.ttl }, clock, failed, succeeded);
  return shared;
}
