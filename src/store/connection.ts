import type { StoreOptions } from './store.js';

/** Commands that may wait for a connection that answers no more. */
const QUEUE = 1_000;
/** Longest time between two attempts to connect, in milliseconds. */
const PAUSE = 2_000;
/** Milliseconds between two signs of life, and without one after which a connection counts as ended. */
const PING = 5_000;
const SILENCE = 12_000;

/** Milliseconds to wait before another attempt; gateways that lost one server do not come back as one. */
export function pauseBefore(attempt: number): number {
  return Math.min(50 * 2 ** attempt, PAUSE) * (0.5 + Math.random() / 2);
}

/**
 * How every connection is made: what cannot be sent now is refused, not kept for later.
 *
 * @param again whether a connection that ends is made again
 */
export function connectionOptions(
  { username, password, ca, connectTimeout }: Omit<StoreOptions, 'place'>,
  tls: boolean,
  again = true,
) {
  const socket = {
    connectTimeout,
    socketTimeout: SILENCE,
    reconnectStrategy: again ? pauseBefore : (false as const),
  };
  return {
    socket: tls
      ? { ...socket, tls: true as const, rejectUnauthorized: true, ...(ca === undefined ? {} : { ca }) }
      : socket,
    ...(password === undefined
      ? {}
      : {
          credentialsProvider: {
            type: 'async-credentials-provider' as const,
            credentials: async () => ({
              ...(username === undefined ? {} : { username }),
              password: password(),
            }),
          },
        }),
    disableOfflineQueue: true,
    commandsQueueMaxLength: QUEUE,
    pingInterval: PING,
  };
}

/** Whether an address asks for TLS. */
export function isTls(url: string): boolean {
  return url.startsWith('rediss:');
}

/** Host and port of an address. */
export function hostOf(url: string, defaultPort: number): { readonly host: string; readonly port: number } {
  const { hostname, port } = new URL(url);
  return { host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? defaultPort : Number(port) };
}

/** What is told of a failure. */
export function causeOf(error: unknown): string {
  if (typeof error === 'string') return error;
  const { code, message } = error as NodeJS.ErrnoException;
  return code ?? message;
}

/** Options of SET for a name that must not be there yet. @param life milliseconds */
export function onlyNew(life: number) {
  return { condition: 'NX', expiration: { type: 'PX', value: Math.ceil(life) } } as const;
}

/** The commands of a list that is kept in the order of time. */
interface Lists {
  zAdd(name: string, entry: { score: number; value: string }): Promise<unknown>;
  zRemRangeByScore(name: string, from: number, to: number): Promise<unknown>;
  zRemRangeByRank(name: string, from: number, to: number): Promise<unknown>;
  pExpire(name: string, life: number): Promise<unknown>;
}

/** Adds an entry to a list, and takes out what is too old or too much; see `Store.append`. */
export async function appendTo(
  commands: Lists,
  name: string,
  entry: string,
  at: number,
  life: number,
  most: number,
): Promise<void> {
  // They are sent as one and carried out in this order.
  await Promise.all([
    commands.zAdd(name, { score: at, value: entry }),
    commands.zRemRangeByScore(name, 0, at - life),
    commands.zRemRangeByRank(name, 0, -most - 1),
    commands.pExpire(name, Math.ceil(life)),
  ]);
}
