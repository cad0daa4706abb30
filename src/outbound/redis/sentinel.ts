import type * as Redis from '@redis/client';
import { listen } from './channel.js';
import { namedCommands, namesOf } from './commands.js';
import { connectionOptions, hostOf, isTls, NoMaster, persist, storeCauseOf } from './connection.js';
import { SCAN } from './single.js';
import type { Store, StoreEvents, StoreOptions, StorePlace } from './store.js';

const PORT = 26_379;
/** Milliseconds between two checks at the sentinels, in case their message about a new master is lost. */
const LOOK = 5_000;

/**
 * Opens the master that the sentinels name. While they name none that responds, every command is refused at
 * once.
 *
 * @param channel the channel to subscribe to
 */
export function openSentinel(
  { createClient, createSentinel }: typeof Redis,
  place: StorePlace & { readonly kind: 'sentinel' },
  options: StoreOptions,
  channel: string,
  events: StoreEvents,
): Store {
  const { nodes, master: name, database, username, password } = place;
  const tls = nodes.some(isTls);
  const { ca, connectTimeout } = options;
  const toSentinels = connectionOptions(
    {
      connectTimeout,
      ...(ca === undefined ? {} : { ca }),
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
    },
    tls,
  );
  const toStore = connectionOptions(options, tls);
  const report = (error: unknown): void => events.failed(storeCauseOf(error));
  const sentinel = createSentinel({
    name,
    sentinelRootNodes: nodes.map((url) => hostOf(url, PORT)),
    // Queue commands to sentinels while the connection is being made; nothing is sent to them later.
    sentinelClientOptions: { ...toSentinels, disableOfflineQueue: false },
    nodeClientOptions: { ...toStore, database },
    passthroughClientErrorEvents: true,
    scanInterval: LOOK,
    // A command is not retried: the caller asks the authorization server instead.
    maxCommandRediscovers: 0,
  });
  sentinel.on('error', report);
  sentinel.on('topology-change', ({ type }: { type: string }) => {
    // A replaced master may keep running, but it does not get the messages that are published at the new one.
    if (type === 'MASTER_CHANGE') subscription.move();
  });
  const subscription = listen(
    () => {
      const master = sentinel.getMasterNode();
      if (master === undefined) return undefined;
      const { socket, ...more } = connectionOptions(options, tls, false);
      return createClient({ ...more, database, socket: { ...socket, ...master } });
    },
    channel,
    events,
  );
  const stopConnecting = persist(() => sentinel.connect(), report);
  // Without this check, the library would wait until a sentinel names a master.
  const ready = () => {
    if (sentinel.getMasterNode() === undefined) throw new NoMaster();
    return sentinel;
  };
  const until = (abortSignal: AbortSignal) => ready().withCommandOptions({ abortSignal });
  return {
    placeOf: () => '',
    ...namedCommands(until, ready),
    delete: async (keys) => ready().unlink([...keys]),
    async deleteAll(prefix, signal) {
      const scan = ready().scanIterator({ MATCH: `${prefix}*`, COUNT: SCAN });
      for await (const names of namesOf(scan, prefix, signal)) await ready().unlink(names);
    },
    publish: async (to, message) => ready().publish(to, message),
    async close() {
      stopConnecting();
      subscription.close();
      await sentinel.destroy();
    },
  };
}
