import type * as Redis from '@redis/client';
import { listen } from './channel.js';
import { namedCommands } from './commands.js';
import { connectionOptions, hostOf, isTls, NoMaster, persist, storeCauseOf } from './connection.js';
import { SCAN } from './single.js';
import type { Store, StoreEvents, StoreOptions, StorePlace } from './store.js';

const PORT = 26_379;
/** Milliseconds between two looks at what the sentinels say, should their word of a change get lost. */
const LOOK = 5_000;

/** The master that sentinels name, whichever that is. While they name none that answers, everything is refused at once. */
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
  const told = (error: unknown): void => events.failed(storeCauseOf(error));
  const sentinel = createSentinel({
    name,
    sentinelRootNodes: nodes.map((url) => hostOf(url, PORT)),
    // Sentinels are asked while they are still there to be asked; nothing is sent to them later.
    sentinelClientOptions: { ...toSentinels, disableOfflineQueue: false },
    nodeClientOptions: { ...toStore, database },
    passthroughClientErrorEvents: true,
    scanInterval: LOOK,
    // A command is not tried again: who asks goes to the authorization server instead.
    maxCommandRediscovers: 0,
  });
  sentinel.on('error', told);
  sentinel.on('topology-change', ({ type }: { type: string }) => {
    // One that has been replaced may go on, and hear nothing of what is said to the new one.
    if (type === 'MASTER_CHANGE') ear.move();
  });
  const ear = listen(
    () => {
      const master = sentinel.getMasterNode();
      if (master === undefined) return undefined;
      const { socket, ...more } = connectionOptions(options, tls, false);
      return createClient({ ...more, database, socket: { ...socket, ...master } });
    },
    channel,
    events,
  );
  const giveUp = persist(() => sentinel.connect(), told);
  // The library would wait for a master, and ask the sentinels all the while.
  const ready = () => {
    if (sentinel.getMasterNode() === undefined) throw new NoMaster();
    return sentinel;
  };
  const until = (abortSignal: AbortSignal) => ready().withCommandOptions({ abortSignal });
  return {
    placeOf: () => '',
    ...namedCommands(until, ready),
    delete: async (keys) => ready().unlink([...keys]),
    async deleteAll(prefix) {
      const scan = ready().scanIterator({ MATCH: `${prefix}*`, COUNT: SCAN });
      for await (const keys of scan) if (keys.length > 0) await ready().unlink(keys);
    },
    publish: async (to, message) => ready().publish(to, message),
    async close() {
      giveUp();
      ear.close();
      await sentinel.destroy();
    },
  };
}
