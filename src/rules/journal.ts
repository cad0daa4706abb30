import type { TimedItem, WorkItem } from './budget.js';

/** Bytes of one entry. The longest file path fits. */
const SIZE = 32_768;
/** The entries: the current work item, and the one that has taken longest so far. */
const ENTRIES = 2;

/** The current work item, and when it started. */
export interface StartedItem extends WorkItem {
  /** Milliseconds since 1970. */
  readonly since: number;
}

/**
 * Records what a thread that loads rules is working on, in memory that it shares with the thread that waits.
 * The waiting thread can read it even if the other one is too busy to answer or has been terminated.
 */
export class Journal {
  readonly #entries: readonly Buffer[];
  readonly shared: SharedArrayBuffer;

  /** @param shared the memory of the other thread's journal; by default new memory is allocated */
  constructor(shared: SharedArrayBuffer = new SharedArrayBuffer(SIZE * ENTRIES)) {
    this.shared = shared;
    this.#entries = Array.from({ length: ENTRIES }, (_, i) => Buffer.from(shared, i * SIZE, SIZE));
  }

  /** Records an item; called by the thread that loads. */
  write(item: WorkItem, longest: TimedItem | undefined): void {
    this.#put(0, { ...item, since: Date.now() });
    if (longest !== undefined) this.#put(1, longest);
  }

  /** The current item. Undefined before the first item, and while the other thread writes it. */
  get item(): StartedItem | undefined {
    return this.#get(0) as StartedItem | undefined;
  }

  get longest(): TimedItem | undefined {
    return this.#get(1) as TimedItem | undefined;
  }

  #put(entry: number, value: object): void {
    const buffer = this.#entries[entry] as Buffer;
    const text = JSON.stringify(value);
    const length = Buffer.byteLength(text);
    if (length > SIZE - 4) return;
    buffer.writeUInt32LE(length, 0);
    buffer.write(text, 4);
  }

  #get(entry: number): object | undefined {
    const buffer = this.#entries[entry] as Buffer;
    const length = buffer.readUInt32LE(0);
    try {
      return JSON.parse(buffer.toString('utf8', 4, 4 + length)) as object;
    } catch {
      return undefined;
    }
  }
}
