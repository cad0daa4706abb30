import type { Logger } from 'pino';

/** Where log lines go, as far as dropped ones are concerned. */
export interface DroppingOutput {
  /** The number of lines dropped since the start. */
  dropped(): number;
  /** Whether new lines would be written now. */
  hasRoom(): boolean;
}

/**
 * Tells in the log itself how many lines are missing from it. It waits until lines are written again, because
 * the line about it would be dropped too.
 */
export class DroppedLines {
  readonly #output: DroppingOutput;
  readonly #log: Pick<Logger, 'warn'>;
  #told = 0;
  #seen = 0;

  constructor(output: DroppingOutput, log: Pick<Logger, 'warn'>) {
    this.#output = output;
    this.#log = log;
  }

  /** To be called about once a second. Writes one line if lines were dropped, and none was since the last call. */
  sample(): void {
    const dropped = this.#output.dropped();
    const isOver = dropped === this.#seen && this.#output.hasRoom();
    this.#seen = dropped;
    if (!isOver || dropped === this.#told) return;
    this.#log.warn(
      { lines: dropped - this.#told },
      'log lines were dropped, audit lines too: their reader was too slow, or the disk was full',
    );
    this.#told = dropped;
  }
}
