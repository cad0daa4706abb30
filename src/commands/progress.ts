import type { Progress } from '../rules/load.js';
import type { Io } from './command.js';

/** What shows how far something has come. */
export interface ShownProgress {
  readonly step: Progress;
  /** Makes room for lines of the command's own; the next step shows it again. */
  clear(): void;
  /** It is done: nothing of it stays. */
  end(): void;
}

/** Whoever waits for less than this, in milliseconds, is shown nothing. */
const PATIENCE = 1_000;
/** How often what is shown changes at most, in milliseconds. */
const PACE = 100;
/** Return to the line's begin and erase it (ECMA-48). */
const ERASE = '\r\u001b[K';
/** The longest line shown: one that wraps would not be erased. */
const WIDTH = 78;

/**
 * Shows on standard error how far something has come, once it has taken a second, and only where that is a person's
 * terminal: a file or a pipe gets nothing of it.
 *
 * @param command its name, which the line begins with
 * @param now milliseconds; for tests
 */
export function showProgress(
  io: Io,
  command: string,
  now: () => number = () => performance.now(),
): ShownProgress {
  if (io.terminal !== true) return { step() {}, clear() {}, end() {} };
  const began = now();
  let painted = Number.NEGATIVE_INFINITY;
  let line = '';
  let shown = false;
  const paint = (): void => {
    if (line === '') return;
    io.err(ERASE + line);
    painted = now();
    shown = true;
  };
  const clear = (): void => {
    if (shown) io.err(ERASE);
    shown = false;
    painted = Number.NEGATIVE_INFINITY;
  };
  // Where nothing is done but wait, no step comes to show it.
  const timer = setTimeout(paint, PATIENCE);
  timer.unref();
  return {
    step(what, done, of) {
      line = `${command}: ${what}, ${done} of ${of}`.slice(0, WIDTH);
      const time = now();
      if (time - began >= PATIENCE && time - painted >= PACE) paint();
    },
    clear,
    end() {
      clearTimeout(timer);
      clear();
      line = '';
    },
  };
}
