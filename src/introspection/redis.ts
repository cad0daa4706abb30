import type { Store } from './shared.js';

/** Where the store is, and who the gateway is there. */
export interface RedisOptions {
  /** `redis://host:port/database` or `rediss://…`, without credentials. */
  readonly url: string;
  readonly username?: string;
  readonly password?: () => string;
  /** PEM certificates to trust instead of Node's own, for `rediss`. */
  readonly ca?: string;
  /** Milliseconds. */
  readonly connectTimeout: number;
}

/** Commands that may wait for a connection that answers no more. */
const QUEUE = 1_000;
/** Longest time between two attempts to connect, in milliseconds. */
const PAUSE = 2_000;

/**
 * Connects to Redis or Valkey in the background, and again whenever the connection ends; while there is none, every
 * call is refused at once. The library is loaded only here: a gateway without a second tier does not pay for it.
 *
 * @param channel whose messages are told
 * @param onFailure told of every connection that fails or ends; the cause holds no address
 */
export async function openRedis(
  { url, username, password, ca, connectTimeout }: RedisOptions,
  channel: string,
  onMessage: (message: string) => void,
  onFailure: (cause: string) => void,
): Promise<Store> {
  const { createClient } = await import('@redis/client');
  const reconnectStrategy = (attempt: number) =>
    Math.min(50 * 2 ** attempt, PAUSE) * (0.5 + Math.random() / 2);
  const common = { connectTimeout, reconnectStrategy };
  const client = createClient({
    url,
    socket: url.startsWith('rediss:')
      ? { ...common, tls: true, rejectUnauthorized: true, ...(ca === undefined ? {} : { ca }) }
      : common,
    ...(password === undefined
      ? {}
      : {
          credentialsProvider: {
            type: 'async-credentials-provider',
            credentials: async () => ({
              ...(username === undefined ? {} : { username }),
              password: password(),
            }),
          },
        }),
    disableOfflineQueue: true,
    commandsQueueMaxLength: QUEUE,
  });
  const subscriber = client.duplicate({ disableOfflineQueue: false });
  const told = (error: unknown): void => {
    const { code, message } = error as NodeJS.ErrnoException;
    onFailure(code ?? message);
  };
  for (const each of [client, subscriber]) {
    each.on('error', told);
    each.connect().catch(told);
  }
  subscriber.subscribe(channel, onMessage).catch(told);
  return {
    get: (name) => client.get(name),
    set: (name, value, life) => client.set(name, value, { expiration: { type: 'PX', value: life } }),
    delete: (names) => client.unlink([...names]),
    async deleteAll(prefix) {
      for await (const names of client.scanIterator({ MATCH: `${prefix}*`, COUNT: 1_000 })) {
        if (names.length > 0) await client.unlink(names);
      }
    },
    publish: (to, message) => client.publish(to, message),
    async close() {
      client.destroy();
      subscriber.destroy();
    },
  };
}
