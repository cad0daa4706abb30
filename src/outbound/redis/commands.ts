import type { Store } from './store.js';

/** Options of SET: milliseconds until the name expires, and whether it must not exist yet. */
interface Setting {
  readonly expiration: { readonly type: 'PX'; readonly value: number };
  readonly condition?: 'NX';
}

/** The library's commands that read or set one name. */
interface OfOneName {
  get(name: string): Promise<string | null>;
  set(name: string, value: string, setting: Setting): Promise<string | null>;
  zRange(name: string, from: number, to: number): Promise<string[]>;
}

/** The library's commands for a list that is sorted by time. */
interface OfLists {
  zAdd(name: string, entry: { score: number; value: string }): Promise<unknown>;
  zRemRangeByScore(name: string, from: number, to: number): Promise<unknown>;
  zRemRangeByRank(name: string, from: number, to: number): Promise<unknown>;
  pExpire(name: string, life: number): Promise<unknown>;
}

/**
 * Builds the commands that are the same for every kind of store.
 *
 * @param until the commands for a signal; a command is not sent any more once its signal aborts
 * @param always the commands without a signal
 */
export function namedCommands(
  until: (signal: AbortSignal) => OfOneName,
  always: () => OfLists,
): Pick<Store, 'get' | 'add' | 'set' | 'append' | 'entries'> {
  return {
    get: async (name, signal) => until(signal).get(name),
    add: async (name, life, signal) =>
      (await until(signal).set(name, '', {
        condition: 'NX',
        expiration: { type: 'PX', value: Math.ceil(life) },
      })) !== null,
    set: async (name, value, life, signal) =>
      until(signal).set(name, value, { expiration: { type: 'PX', value: life } }),
    async append(name, entry, at, life, most) {
      const lists = always();
      // The library sends them together, and the server runs them in this order.
      await Promise.all([
        lists.zAdd(name, { score: at, value: entry }),
        lists.zRemRangeByScore(name, 0, at - life),
        lists.zRemRangeByRank(name, 0, -most - 1),
        lists.pExpire(name, Math.ceil(life)),
      ]);
    },
    entries: async (name, signal) => until(signal).zRange(name, 0, -1),
  };
}
