import type { Progress } from '../rules/load.js';
import type { Io } from './command.js';

/** Shows progress on the terminal. */
export interface ShownProgress {
  readonly step: Progress;
  /** Erases the progress line, so that the command can print. The next step shows it again. */
  clear(): void;
  /** Ends the progress and erases its line. */
  end(): void;
}

/** Milliseconds before progress is shown at all. */
const SHOW_AFTER = 1_000;
/** The shortest time between two updates, in milliseconds. */
const UPDATE_EVERY = 100;
/** Returns to the beginning of the line and erases it (ECMA-48). */
const ERASE = '\r\u001b[K';
/** The longest line, in characters. A line that wraps would not be erased. */
const WIDTH = 78;

/**
 * Shows progress on standard error once a command has run for a second, and only on a terminal: nothing goes
 * into a file or a pipe.
 *
 * @param command its name, which begins the line
 * @param now the time in milliseconds; tests pass their own
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
  // If the command only waits, no step comes that would show the line.
  const timer = setTimeout(paint, SHOW_AFTER);
  timer.unref();
  return {
    step(what, done, of) {
      line = `${command}: ${what}, ${done} of ${of}`.slice(0, WIDTH);
      const time = now();
      if (time - began >= SHOW_AFTER && time - painted >= UPDATE_EVERY) paint();
    },
    clear,
    end() {
      clearTimeout(timer);
      clear();
      line = '';
    },
  };
}
