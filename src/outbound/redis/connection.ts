import { causeOf } from '../../observe/redaction.js';
import { BOUNDED } from './bounded-connections.js';
import type { StoreOptions } from './store.js';

/** The most commands that wait on a connection that does not respond. */
const QUEUE = 1_000;
/** The longest time between two attempts to connect, in milliseconds. */
const PAUSE = 2_000;
/**
 * Milliseconds between two PINGs, and milliseconds without a response after which a connection counts as
 * closed.
 */
const PING = 5_000;
const SILENCE = 12_000;

/**
 * Milliseconds to wait before another attempt. The time is random, so that gateways that lost the same server
 * do not all reconnect at once.
 *
 * @param attempt the number of failed attempts before, from 0
 */
export function pauseBefore(attempt: number): number {
  return Math.min(50 * 2 ** attempt, PAUSE) * (0.5 + Math.random() / 2);
}

/**
 * Repeats the first attempt to connect until it succeeds. Afterwards the library reconnects by itself.
 *
 * @param failed called for every failed attempt
 * @returns stops the attempts
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
 * The options of every connection. Without a connection, commands are refused instead of queued.
 *
 * @param tls whether to use TLS
 * @param again whether the library reconnects after the connection ends
 */
export function connectionOptions(
  { username, password, ca, connectTimeout }: Omit<StoreOptions, 'place'>,
  tls: boolean,
  again = true,
) {
  const socket = {
    ...BOUNDED,
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

/** Whether an address requires TLS (`rediss:`). */
export function isTls(url: string): boolean {
  return url.startsWith('rediss:');
}

/** The host and port of an address. */
export function hostOf(url: string, defaultPort: number): { readonly host: string; readonly port: number } {
  const { hostname, port } = new URL(url);
  return { host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? defaultPort : Number(port) };
}

/**
 * The kind of an error reply is its first word
 * (https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors).
 */
const REPLY_KIND = /^[A-Z]{2,32}(?= |$)/;

/**
 * The cause of a store's failure, for the log: the kind of an error reply, such as `WRONGPASS`, or else that
 * of {@link causeOf}.
 */
export function storeCauseOf(error: unknown): string {
  const isReply = error instanceof Error && REPLIES.has(error.constructor.name);
  return (isReply ? REPLY_KIND.exec(error.message)?.[0] : undefined) ?? causeOf(error);
}

/**
 * The names of the library's classes of error replies. The library is loaded only if a store is configured,
 * so `instanceof` is not possible here.
 */
const REPLIES: ReadonlySet<string> = new Set(['ErrorReply', 'SimpleError', 'BlobError']);

/** No master is known at the moment, so no command can be sent. */
export class NoMaster extends Error {
  readonly code = 'no_master';
  constructor() {
    super('no master is known');
    this.name = 'NoMaster';
  }
}
