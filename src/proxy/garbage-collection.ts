import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * Bytes that may lie about. V8 before 13 (Node 20 and 22) lets half as much lie as later ones; to collect sooner than it
 * does there costs answers of 64 KiB up to a sixth more; with later ones it costs them less than leaving it.
 */
const ENOUGH = Number.parseInt(process.versions.v8, 10) < 13 ? Number.POSITIVE_INFINITY : 16 * 1_048_576;

/** V8's collector, which takes what is young and not used any more, in some tenths of a millisecond. */
type Collect = (options: { readonly type: 'minor' }) => void;

let spent = 0;
let collect: Collect | undefined;

/**
 * Takes note of a piece of a body that is on its way, and now and then has the memory of those that have gone collected.
 *
 * To V8 such a piece is a small object; it lets 64 MiB of what they hold lie, in a process that needs a few. And each
 * next piece then takes memory that is in no cache of the processor: large bodies cost up to twice the processor time.
 *
 * @param bytes how many the piece has
 */
export function reclaim(bytes: number): void {
  spent += bytes;
  if (spent < ENOUGH) return;
  spent = 0;
  collect ??= collector();
  collect({ type: 'minor' });
}

/** Node offers it to those alone that were started with a flag, which takes effect in contexts that begin after it. */
function collector(): Collect {
  setFlagsFromString('--expose-gc');
  const found = runInNewContext("typeof gc === 'function' ? gc : undefined") as Collect | undefined;
  // A V8 that does not offer it any more collects when it sees fit.
  return found ?? (() => {});
}
