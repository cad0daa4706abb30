import { causeOf } from '../../observe/redaction.js';
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
 * Makes the first connection, and tries again until there is one; the library makes those after it.
 *
 * @param failed told of every attempt that failed
 * @returns ends the attempts
 */
export function persist(connect: () => Promise<unknown>, failed: (error: unknown) => void): () => void {
  let ended = false;
  let timer: NodeJS.Timeout | undefined;
  let attempt = 0;
  function start(): void {
    connect().catch((error: unknown) => {
      failed(error);
      if (!ended) timer = setTimeout(start, pauseBefore(attempt++));
    });
  }
  start();
  return () => {
    ended = true;
    clearTimeout(timer);
  };
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

/** The kind of an error reply, its first word (https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors). */
const REPLY_KIND = /^[A-Z]{2,32}(?= |$)/;

/** What the log says of a store's failure: the kind of an error reply, such as `WRONGPASS`, or as {@link causeOf}. */
export function storeCauseOf(error: unknown): string {
  const isReply = error instanceof Error && REPLIES.has(error.constructor.name);
  return (isReply ? REPLY_KIND.exec(error.message)?.[0] : undefined) ?? causeOf(error);
}

/** The library's classes of error replies: it is loaded only where a store is used, so they are known by name. */
const REPLIES: ReadonlySet<string> = new Set(['ErrorReply', 'SimpleError', 'BlobError']);

/** No server can be asked now. */
export class NoMaster extends Error {
  readonly code = 'no_master';
  constructor() {
    super('no master is known');
    this.name = 'NoMaster';
  }
}
