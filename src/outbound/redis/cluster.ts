import type * as Redis from '@redis/client';
import { within } from '../../model/within.js';
import { listen } from './channel.js';
import { namedCommands, namesOf } from './commands.js';
import { connectionOptions, hostOf, isTls, NoMaster, persist, storeCauseOf } from './connection.js';
import type { Store, StoreEvents, StoreOptions } from './store.js';

const PORT = 6_379;
/**
 * Names per step of a scan. Each name needs a command of its own to delete it, and only a limited number of
 * commands may wait.
 */
const SCAN = 200;
/** Milliseconds that a node is unreachable before the other nodes are asked which node has its slots. */
const REFRESH = 1_000;

/**
 * Opens a cluster. Commands about many names go to each node; if one node fails, the others still do their
 * part. A message is published at every node, and each node passes it on to all others, so it is enough to
 * subscribe at any one. (PUBLISH, not SPUBLISH: a sharded channel would be lost with its shard.)
 *
 * @param channel the channel to subscribe to
 */
export function openCluster(
  { createClient, createCluster }: typeof Redis,
  nodes: readonly string[],
  options: StoreOptions,
  channel: string,
  events: StoreEvents,
): Store {
  const tls = nodes.some(isTls);
  const report = (error: unknown): void => events.failed(storeCauseOf(error));
  function open() {
    const made = createCluster({
      rootNodes: nodes.map((url) => ({ url })),
      defaults: connectionOptions(options, tls),
      // Otherwise a gateway could not start while one node is down.
      minimizeConnections: true,
      topologyRefreshOnReconnectionAttemptStrategy: REFRESH,
    });
    made.on('error', report);
    made.on('node-error', (error: unknown, { host, port }: { host: string; port: number }) => {
      report(error);
      if (!looking) void look(`${host}:${port}`).catch(report);
    });
    return made;
  }
  let cluster = open();
  let looking = false;

  /**
   * Checks whether a failed node is still a master, and connects anew if it is not. The library only does so
   * for nodes that it has reached before.
   */
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
      stopConnecting();
      cluster.destroy();
      cluster = open();
      stopConnecting = persist(() => cluster.connect(), report);
    } finally {
      looking = false;
    }
  }

  let turn = Math.floor(Math.random() * nodes.length);
  const subscription = listen(
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
  let stopConnecting = persist(() => cluster.connect(), report);
  const until = (abortSignal: AbortSignal) => cluster.withCommandOptions({ abortSignal });

  /** Runs a command at every master. A master that is unreachable does not stop the others. */
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
    // One command per name, because all names of one command must be in one slot.
    delete: async (names) => all(await Promise.allSettled(names.map((name) => cluster.unlink(name)))),
    deleteAll: async (prefix, signal) =>
      all(
        await everywhere(async (node) => {
          const scan = node.scanIterator({ MATCH: `${prefix}*`, COUNT: SCAN });
          for await (const names of namesOf(scan, prefix, signal)) {
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
      stopConnecting();
      subscription.close();
      cluster.destroy();
    },
  };
}

/**
 * Checks results.
 *
 * @throws the first failure, if there is one
 */
function all(results: readonly PromiseSettledResult<unknown>[]): void {
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

/** The number of slots of a cluster. */
const SLOTS = 16_384;

/**
 * The slot of a name in a cluster: CRC-16/XMODEM of the name, or of the text in its first braces
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
