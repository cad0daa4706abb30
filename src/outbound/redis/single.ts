import type * as Redis from '@redis/client';
import { listen } from './channel.js';
import { namedCommands } from './commands.js';
import { connectionOptions, isTls, storeCauseOf } from './connection.js';
import type { Store, StoreEvents, StoreOptions } from './store.js';

/** Names per step of a scan. */
export const SCAN = 1_000;

/**
 * Opens one server: Redis or Valkey.
 *
 * @param channel the channel to subscribe to
 */
export function openSingle(
  { createClient }: typeof Redis,
  url: string,
  options: StoreOptions,
  channel: string,
  events: StoreEvents,
): Store {
  const report = (error: unknown): void => events.failed(storeCauseOf(error));
  const client = createClient({ url, ...connectionOptions(options, isTls(url)) });
  client.on('error', report);
  client.connect().catch(report);
  const subscription = listen(
    () => createClient({ url, ...connectionOptions(options, isTls(url), false) }),
    channel,
    events,
  );
  const until = (abortSignal: AbortSignal) => client.withCommandOptions({ abortSignal });
  return {
    placeOf: () => '',
    ...namedCommands(until, () => client),
    delete: (names) => client.unlink([...names]),
    async deleteAll(prefix) {
      for await (const names of client.scanIterator({ MATCH: `${prefix}*`, COUNT: SCAN })) {
        if (names.length > 0) await client.unlink(names);
      }
    },
    publish: (to, message) => client.publish(to, message),
    async close() {
      subscription.close();
      client.destroy();
    },
  };
}
