import type * as Redis from '@redis/client';
import { within } from '../../model/within.js';
import { listen } from './channel.js';
import { namedCommands } from './commands.js';
import { connectionOptions, hostOf, isTls, NoMaster, persist, storeCauseOf } from './connection.js';
import type { Store, StoreEvents, StoreOptions } from './store.js';

const PORT = 6_379;
/** Names looked at in one step of a search: each is deleted by a command of its own, and not too many may wait. */
const SCAN = 200;
/** Milliseconds that a node is out of reach before the others are asked who has its slots. */
const REFRESH = 1_000;

/**
 * A cluster. What concerns many names is asked of each node, and the others do their part when one cannot. A message is
 * given to every node, and each passes it on to all the others (PUBLISH, not SPUBLISH: a channel that one shard keeps
 * would fall silent with it), so that it is enough to listen at any one.
 */
export function openCluster(
  { createClient, createCluster }: typeof Redis,
  nodes: readonly string[],
  options: StoreOptions,
  channel: string,
  events: StoreEvents,
): Store {
  const tls = nodes.some(isTls);
  const told = (error: unknown): void => events.failed(storeCauseOf(error));
  function open() {
    const made = createCluster({
      rootNodes: nodes.map((url) => ({ url })),
      defaults: connectionOptions(options, tls),
      // Else a gateway could not begin while one node is down.
      minimizeConnections: true,
      topologyRefreshOnReconnectionAttemptStrategy: REFRESH,
    });
    made.on('error', told);
    made.on('node-error', (error: unknown, { host, port }: { host: string; port: number }) => {
      told(error);
      if (!looking) void look(`${host}:${port}`).catch(told);
    });
    return made;
  }
  let cluster = open();
  let looking = false;

  /** The library asks who has a node's slots now only where that node has answered before. */
  async function look(address: string): Promise<void> {
    looking = true;
    try {
      const others = cluster.masters.filter((master) => master.address !== address);
      const slots = await Promise.any(
        others.map((other) =>
          within(
            options.connectTimeout,
            cluster.nodeClient(other).then((node) => node.clusterSlots()),
          ),
        ),
      );
      const isMaster = slots.some(({ master: { host, port } }) => `${host}:${port}` === address);
      if (closed || isMaster || !cluster.masters.some((master) => master.address === address)) return;
      giveUp();
      cluster.destroy();
      cluster = open();
      giveUp = persist(() => cluster.connect(), told);
    } finally {
      looking = false;
    }
  }

  let turn = Math.floor(Math.random() * nodes.length);
  const ear = listen(
    () => {
      const known = [...cluster.masters, ...nodes.map((url) => hostOf(url, PORT))];
      const { host, port } = known[turn++ % known.length] as { host: string; port: number };
      const { socket, ...more } = connectionOptions(options, tls, false);
      return createClient({ ...more, socket: { ...socket, host, port } });
    },
    channel,
    events,
  );
  let closed = false;
  let giveUp = persist(() => cluster.connect(), told);
  const until = (abortSignal: AbortSignal) => cluster.withCommandOptions({ abortSignal });

  /** Does something at every master; one that is out of reach keeps none of the others from it. */
  async function everywhere(
    work: (node: Redis.RedisClientType) => Promise<unknown>,
  ): Promise<PromiseSettledResult<unknown>[]> {
    const { masters } = cluster;
    if (masters.length === 0) throw new NoMaster();
    return Promise.allSettled(
      masters.map(async (master) => work(await within(options.connectTimeout, cluster.nodeClient(master)))),
    );
  }

  return {
    placeOf: (name) => cluster.slots[slotOf(name)]?.master.address ?? '',
    ...namedCommands(until, () => cluster),
    // One by one: names of one command must be of one slot.
    delete: async (names) => all(await Promise.allSettled(names.map((name) => cluster.unlink(name)))),
    deleteAll: async (prefix) =>
      all(
        await everywhere(async (node) => {
          for await (const names of node.scanIterator({ MATCH: `${prefix}*`, COUNT: SCAN })) {
            await Promise.all(names.map((name) => node.unlink(name)));
          }
        }),
      ),
    async publish(to, message) {
      const { connectTimeout } = options;
      const results = await everywhere((node) => within(connectTimeout, node.publish(to, message)));
      if (results.every(({ status }) => status === 'rejected')) all(results);
    },
    async close() {
      closed = true;
      giveUp();
      ear.close();
      cluster.destroy();
    },
  };
}

/** @throws the first failure, where there is one */
function all(results: readonly PromiseSettledResult<unknown>[]): void {
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

/** Slots of a cluster. */
const SLOTS = 16_384;

/**
 * The slot of a name in a cluster: CRC-16/XMODEM of the name, or of what stands in its first braces
 * (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags).
 */
export function slotOf(name: string): number {
  let crc = 0;
  for (const byte of Buffer.from(/^[^{]*\{([^}]+)\}/.exec(name)?.[1] ?? name)) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
  }
  return (crc & 0xffff) % SLOTS;
}
