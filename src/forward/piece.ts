import type { IncomingMessage } from 'node:http';
import { isStream } from '../request/arrival.js';

/** A smaller one is not worth it, and shares its memory with others. */
const WORTH = 4_096;

/** Memory that can be taken from everyone who has it (ECMAScript 2024); Node 20 has no way to do it. */
interface Memory {
  readonly byteLength: number;
  transfer?(length: number): unknown;
}

/** Is called once a piece has been written, or could not be. */
export type Written = (error?: Error | null) => void;

/**
 * Gives a piece of a body back when it has been written. V8 would let 64 MiB of what has been sent lie before it
 * collects them, and each next piece would take memory that is in no cache of the processor: twice the cost.
 *
 * @param piece has its memory to itself, and nobody reads it once it has been written: it is empty then
 * @param message the request whose body, or whose answer's body, it is of
 * @returns for whoever writes it; undefined where nothing is to be given back
 */
export function freeing(piece: Buffer, message: IncomingMessage): Written | undefined {
  // HTTP/2 hands out what it has read at once in pieces of one memory, and of a stream that is reset it may tell that a
  // piece is written of which a part is still to go.
  if (isStream(message)) return undefined;
  const memory: Memory = piece.buffer;
  if (piece.length < WORTH || memory.byteLength !== piece.length || memory.transfer === undefined)
    return undefined;
  return (error) => {
    // What could not be written may be on its way still.
    if ((error === undefined || error === null) && piece.length > 0) memory.transfer?.(0);
  };
}
