/** The limits of one reply of a store. */
export interface ReplyLimits {
  /** The most bytes of one string. */
  readonly text: number;
  /** The most bytes of a reply with everything in it. */
  readonly reply: number;
  /** The most elements of one array, set or map. */
  readonly elements: number;
  /** How deep arrays, sets and maps may be nested. */
  readonly depth: number;
}

/** The most bytes of a line that holds a number, and of one that holds a message. */
const NUMBER = 64;
const MESSAGE = 16_384;

const [CR, LF] = [0x0d, 0x0a];

/** How a value continues after its first line. */
type Kind = 'line' | 'number' | 'text' | 'list' | 'pairs';

/** The types of values by their first byte. RESP3 has some that @redis/client does not read: these are refused. */
const KINDS: ReadonlyMap<number, Kind> = new Map(
  Object.entries({
    '+': 'line',
    '-': 'line',
    ':': 'number',
    _: 'number',
    '#': 'number',
    ',': 'number',
    '(': 'number',
    $: 'text',
    '=': 'text',
    '!': 'text',
    '*': 'list',
    '~': 'list',
    '>': 'list',
    '%': 'pairs',
  } satisfies Record<string, Kind>).map(([type, kind]) => [type.charCodeAt(0), kind]),
);

/**
 * Follows the replies on one connection to a store, without keeping them, and says whether they are within the
 * limits. The library that decodes them has no limits of its own: it reserves memory for an array as soon as
 * its length arrives, and collects a string of any length.
 *
 * The format is RESP, in versions 2 and 3
 * (https://redis.io/docs/latest/develop/reference/protocol-spec/). It is read strictly: a reply that the
 * library could read in another way is refused.
 */
export class ReplyReader {
  readonly #limits: ReplyLimits;
  /** The elements that are still missing in each array around the current value, the outermost first. */
  readonly #missing: number[] = [];
  /** The first line of the current value, as far as it has arrived. */
  #line: Buffer = Buffer.alloc(0);
  /** The bytes of the current string that are still missing, with the line break after it. */
  #rest = 0;
  /** The bytes of the current reply so far. */
  #bytes = 0;
  #refused = false;

  constructor(limits: ReplyLimits) {
    this.#limits = limits;
  }

  /**
   * Reads the next bytes.
   *
   * @returns false if they exceed a limit or are not RESP; from then on always
   */
  accepts(chunk: Buffer): boolean {
    for (let at = 0; at < chunk.length && !this.#refused; ) {
      const before = at;
      at = this.#rest > 0 ? this.#skip(chunk, at) : this.#readLine(chunk, at);
      this.#bytes += at - before;
      if (this.#bytes > this.#limits.reply) this.#refused = true;
      else if (this.#rest === 0 && this.#line.length === 0 && this.#missing.length === 0) this.#bytes = 0;
    }
    return !this.#refused;
  }

  #skip(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + this.#rest);
    this.#rest -= end - at;
    if (this.#rest === 0) this.#endValue();
    return end;
  }

  #readLine(chunk: Buffer, at: number): number {
    const found = chunk.indexOf(LF, at);
    const end = found === -1 ? chunk.length : found + 1;
    const kind = KINDS.get(this.#line[0] ?? (chunk[at] as number));
    const most = kind === 'line' ? MESSAGE : NUMBER;
    if (kind === undefined || this.#line.length + end - at > most) {
      this.#refused = true;
      return end;
    }
    this.#line = Buffer.concat([this.#line, chunk.subarray(at, end)]);
    if (found === -1) return end;
    const line = this.#line;
    this.#line = Buffer.alloc(0);
    // A line break is CR LF, and neither of the two may occur anywhere else in a line.
    if (line.indexOf(CR) === line.length - 2) this.#begin(kind, line.toString('latin1', 0, line.length - 2));
    else this.#refused = true;
    return end;
  }

  /** Begins a value. @param line its first line, with its type and without the line break */
  #begin(kind: Kind, line: string): void {
    if (kind === 'line') this.#endValue();
    else if (kind === 'number') {
      if (isNumber(line)) this.#endValue();
      else this.#refused = true;
    } else if (line === '$-1' || line === '*-1') {
      // The null of RESP2.
      this.#endValue();
    } else if (!/^.\d{1,15}$/.test(line)) this.#refused = true;
    else if (kind === 'text') this.#beginText(Number(line.slice(1)), line.startsWith('='));
    else this.#beginList(Number(line.slice(1)) * (kind === 'pairs' ? 2 : 1));
  }

  /** @param prefixed whether it begins with the name of its format and a colon */
  #beginText(length: number, prefixed: boolean): void {
    if (length > this.#limits.text || (prefixed && length < 4)) this.#refused = true;
    else this.#rest = length + 2;
  }

  #beginList(length: number): void {
    if (length > this.#limits.elements || this.#missing.length >= this.#limits.depth) this.#refused = true;
    else if (length === 0) this.#endValue();
    else this.#missing.push(length);
  }

  /** Ends a value, and the arrays that it completes. */
  #endValue(): void {
    for (let last = this.#missing.length - 1; last >= 0; last--) {
      const missing = (this.#missing[last] as number) - 1;
      this.#missing[last] = missing;
      if (missing > 0) return;
      this.#missing.pop();
    }
  }
}

/** Whether a line is a number, a truth value or null, with its type. */
function isNumber(line: string): boolean {
  switch (line[0]) {
    case '_':
      return line === '_';
    case '#':
      return line === '#t' || line === '#f';
    case ',':
      return /^,(?:[+-]?(?:\d[\d.eE+-]*|inf)|nan)$/.test(line);
    default:
      return /^.[+-]?\d+$/.test(line);
  }
}
