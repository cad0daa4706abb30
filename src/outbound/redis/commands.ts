import type { Store } from './store.js';

/** Options of SET: milliseconds that it lasts, and whether the name must not be there yet. */
interface Setting {
  readonly expiration: { readonly type: 'PX'; readonly value: number };
  readonly condition?: 'NX';
}

/** The library's commands that concern one name, wherever it is kept. */
interface OfOneName {
  get(name: string): Promise<string | null>;
  set(name: string, value: string, setting: Setting): Promise<string | null>;
  zRange(name: string, from: number, to: number): Promise<string[]>;
}

/** The library's commands of a list that is kept in the order of time. */
interface OfLists {
  zAdd(name: string, entry: { score: number; value: string }): Promise<unknown>;
  zRemRangeByScore(name: string, from: number, to: number): Promise<unknown>;
  zRemRangeByRank(name: string, from: number, to: number): Promise<unknown>;
  pExpire(name: string, life: number): Promise<unknown>;
}

/**
 * What every kind of store does alike.
 *
 * @param until the commands, which are not sent any more once the signal aborts
 * @param always the commands without one
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
      // They are sent as one and carried out in this order.
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
