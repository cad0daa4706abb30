/** A smaller one is not worth it, and shares its memory with others. */
const WORTH = 4_096;

/** Memory that can be taken from everyone who has it (ECMAScript 2024); Node 20 has no way to do it. */
interface Memory {
  readonly byteLength: number;
  transfer?(length: number): unknown;
}

/**
 * Gives a piece of a body back when it has been written. V8 would let 64 MiB of what has been sent lie before it
 * collects them, and each next piece would take memory that is in no cache of the processor: twice the cost.
 *
 * @param piece has its memory to itself, and nobody reads it once it has been written: it is empty then
 * @returns for whoever writes it; undefined where nothing is to be given back
 */
export function freeing(piece: Buffer): ((error?: Error | null) => void) | undefined {
  const memory: Memory = piece.buffer;
  if (piece.length < WORTH || memory.byteLength !== piece.length || memory.transfer === undefined)
    return undefined;
  return (error) => {
    // What could not be written may be on its way still.
    if ((error === undefined || error === null) && piece.length > 0) memory.transfer?.(0);
  };
}
