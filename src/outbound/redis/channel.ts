import type { createClient } from '@redis/client';
import { pauseBefore, storeCauseOf } from './connection.js';
import type { StoreEvents } from './store.js';

/** A client that is not connected yet and does not reconnect by itself. */
export type OneConnection = Pick<
  ReturnType<typeof createClient>,
  'connect' | 'subscribe' | 'destroy' | 'on' | 'isReady'
>;

/** A subscription that lasts until it is closed. */
export interface Listening {
  /** Subscribes at another server, because the current one is no longer the master. */
  move(): void;
  close(): void;
}

/**
 * Subscribes to a channel at one server. Whenever that connection ends, it subscribes at the next one.
 *
 * @param next makes the client for the next attempt; undefined if no server is known yet
 */
export function listen(
  next: () => OneConnection | undefined,
  channel: string,
  { message, listening, deaf, failed }: StoreEvents,
): Listening {
  let closed = false;
  let attempt = 0;
  let timer: NodeJS.Timeout | undefined;
  let current: OneConnection | undefined;

  let heard = false;
  function again(): void {
    current?.destroy();
    current = undefined;
    if (heard) deaf();
    heard = false;
    if (!closed) timer = setTimeout(start, pauseBefore(attempt++));
  }

  function start(): void {
    const client = next();
    current = client;
    if (client === undefined) {
      again();
      return;
    }
    const ended = (error: unknown): void => {
      if (current !== client) return;
      failed(storeCauseOf(error));
      again();
    };
    client.on('error', ended);
    client
      .connect()
      .then(() => client.subscribe(channel, message))
      .then(() => {
        if (current !== client) return;
        attempt = 0;
        heard = true;
        listening();
      }, ended);
  }

  start();
  return {
    move() {
      if (current !== undefined) again();
    },
    close() {
      closed = true;
      clearTimeout(timer);
      current?.destroy();
      current = undefined;
    },
  };
}
