import type * as Redis from '@redis/client';
import { listen } from './channel.js';
import { namedCommands, namesOf } from './commands.js';
import { storeCauseOf } from './connection.js';
import type { Store, StoreEvents } from './store.js';

/** Names per step of a scan. */
export const SCAN = 1_000;

/**
 * Opens one server: Redis or Valkey.
 *
 * @param options of its connections
 * @param channel the channel to subscribe to
 */
export function openSingle(
  { createClient }: typeof Redis,
  options: Redis.RedisClientOptions,
  channel: string,
  events: StoreEvents,
): Store {
  const report = (error: unknown): void => events.failed(storeCauseOf(error));
  const client = createClient(options);
  client.on('error', report);
  client.connect().catch(report);
  // The subscription connects again by itself.
  const once = { ...options, socket: { ...options.socket, reconnectStrategy: false as const } };
  const subscription = listen(() => createClient(once as typeof options), channel, events);
  const until = (abortSignal: AbortSignal) => client.withCommandOptions({ abortSignal });
  return {
    placeOf: () => '',
    ...namedCommands(until, () => client),
    delete: (names) => client.unlink([...names]),
    async deleteAll(prefix, signal) {
      const scan = client.scanIterator({ MATCH: `${prefix}*`, COUNT: SCAN });
      for await (const names of namesOf(scan, prefix, signal)) await client.unlink(names);
    },
    publish: (to, message) => client.publish(to, message),
    async close() {
      subscription.close();
      client.destroy();
    },
  };
}
