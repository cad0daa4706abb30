import { MAX_ENTRY, MAX_VALUE, PAGE } from './bounded-connections.js';
import type { Entries, Store } from './store.js';

/** Options of SET: milliseconds until the name expires, and whether it must not exist yet. */
interface Setting {
  readonly expiration: { readonly type: 'PX'; readonly value: number };
  readonly condition?: 'NX';
}

/** The library's commands that read or set one name. */
interface OfOneName {
  getRange(name: string, from: number, to: number): Promise<unknown>;
  set(name: string, value: string, setting: Setting): Promise<unknown>;
  zRange(name: string, from: number, to: number, order: { readonly REV: true }): Promise<unknown>;
}

/** The library's commands for a list that is sorted by time. */
interface OfLists {
  zAdd(name: string, entry: { score: number; value: string }): Promise<unknown>;
  zRemRangeByScore(name: string, from: number, to: number): Promise<unknown>;
  zRemRangeByRank(name: string, from: number, to: number): Promise<unknown>;
  pExpire(name: string, life: number): Promise<unknown>;
}

/** The most bytes of a list that are read. */
const MAX_LIST = 16 * MAX_VALUE;

/** A reply of a store has another type than that of its command, or a value is too large to be read. */
export class UnexpectedReply extends Error {
  readonly code: 'unexpected_reply' | 'oversized_value';

  constructor(code: UnexpectedReply['code']) {
    super(code === 'unexpected_reply' ? 'the reply has another type' : 'the value is too large');
    this.name = 'UnexpectedReply';
    this.code = code;
  }
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
    async get(name, signal) {
      // GET would return a value of any length. An empty string means that there is no value, because no
      // gateway sets an empty one.
      const value = textIn(await until(signal).getRange(name, 0, MAX_VALUE));
      if (value.length > MAX_VALUE) throw new UnexpectedReply('oversized_value');
      return value === '' ? null : value;
    },
    async add(name, life, signal) {
      const reply = await until(signal).set(name, '', {
        condition: 'NX',
        expiration: { type: 'PX', value: Math.ceil(life) },
      });
      // Anything else must not count as set: a used proof would count as a new one.
      if (reply !== 'OK' && reply !== null) throw new UnexpectedReply('unexpected_reply');
      return reply === 'OK';
    },
    set: async (name, value, life, signal) =>
      until(signal).set(name, value, { expiration: { type: 'PX', value: life } }),
    async append(name, entry, at, life, most) {
      if (entry.length > MAX_ENTRY) throw new UnexpectedReply('oversized_value');
      const lists = always();
      // The library sends them together, and the server runs them in this order.
      await Promise.all([
        lists.zAdd(name, { score: at, value: entry }),
        lists.zRemRangeByScore(name, 0, at - life),
        lists.zRemRangeByRank(name, 0, -most - 1),
        lists.pExpire(name, Math.ceil(life)),
      ]);
    },
    entries: async (name, most, signal) => readEntries(until(signal), name, most),
  };
}

/**
 * Reads a list page by page, the newest entries first: if entries are added or removed meanwhile, an entry
 * may appear twice, but none is left out.
 */
async function readEntries(store: OfOneName, name: string, most: number): Promise<Entries> {
  const entries: string[] = [];
  let bytes = 0;
  for (let complete = false; !complete; ) {
    const from = entries.length;
    const page = await store.zRange(name, from, from + PAGE - 1, { REV: true });
    if (!Array.isArray(page)) throw new UnexpectedReply('unexpected_reply');
    complete = page.length < PAGE;
    for (const entry of page) {
      if (entries.length >= most || bytes > MAX_LIST) return { entries: entries.reverse(), complete: false };
      bytes += textIn(entry).length;
      entries.push(entry);
    }
  }
  return { entries: entries.reverse(), complete: true };
}

/**
 * The names that a scan finds, step by step.
 *
 * @param prefix what they begin with
 * @param signal ends the scan: a store could otherwise answer forever that there are more
 * @throws UnexpectedReply if the store answers with something else
 */
export async function* namesOf(
  scan: AsyncIterable<unknown>,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<string[]> {
  for await (const names of scan) {
    signal.throwIfAborted();
    if (!Array.isArray(names)) throw new UnexpectedReply('unexpected_reply');
    const found = names.filter((name) => textIn(name).startsWith(prefix));
    if (found.length > 0) yield found;
  }
}

function textIn(reply: unknown): string {
  if (typeof reply !== 'string') throw new UnexpectedReply('unexpected_reply');
  return reply;
}
