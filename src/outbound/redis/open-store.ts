import type * as Redis from '@redis/client';
import { lazyRequire } from '../../model/lazy-require.js';
import { boundReplies } from './bounded-connections.js';
import { openCluster } from './cluster.js';
import { connectionOptions, isTls } from './connection.js';
import { openSentinel } from './sentinel.js';
import { openSingle } from './single.js';
import type { Store, StoreEvents, StoreOptions } from './store.js';

const redisPackage = lazyRequire<typeof Redis>('@redis/client');

/**
 * Connects to Redis or Valkey in the background, and reconnects whenever a connection ends. Without a
 * connection, every command is refused at once. The library is loaded only here, so a gateway without a
 * shared store does not load it.
 *
 * @param channel the channel to subscribe to
 * @param events receives its messages, and failures
 * @throws MissingPackageError if the library is not installed
 */
export async function openStore(options: StoreOptions, channel: string, events: StoreEvents): Promise<Store> {
  const redis = redisPackage();
  boundReplies();
  const { place } = options;
  switch (place.kind) {
    case 'single':
      return openSingle(
        redis,
        { url: place.url, ...connectionOptions(options, isTls(place.url)) },
        channel,
        events,
      );
    case 'socket': {
      const { socket, ...others } = connectionOptions(options, false);
      const { path, database } = place;
      return openSingle(redis, { ...others, database, socket: { ...socket, path } }, channel, events);
    }
    case 'cluster':
      return openCluster(redis, place.nodes, options, channel, events);
    case 'sentinel':
      return openSentinel(redis, place, options, channel, events);
  }
}
