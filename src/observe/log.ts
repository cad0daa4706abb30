import { constants, fstatSync, openSync } from 'node:fs';
import type { DestinationStream } from 'pino';
import sonic, { type SonicBoom } from 'sonic-boom';

/** Where log lines go: written in the background, and lost rather than waited for. */
export interface LogSink extends DestinationStream {
  /** Lines lost so far: nobody read them, or the disk was full. */
  readonly dropped: number;
  /** Writes what it can without waiting; for the end of the process. */
  flush(done: () => void): void;
}

/** Lines are written together, at this many characters or after so many milliseconds. */
const BATCH = 32_768;
const INTERVAL = 200;
/** What is kept, in bytes, while nobody takes it. */
const KEPT = 8 * 1024 * 1024;
/** How long the end of the process waits for lines to be taken, in milliseconds. */
const LAST_WORDS = 500;

/**
 * Opens standard output, or another descriptor, for log lines. Serving never waits for whoever reads them: a reader
 * that is slow has some megabytes of time; then, and when it is gone or the disk is full, lines are dropped and
 * counted, and once there is room again, lines are written again.
 *
 * @param fd the file descriptor
 * @param kept bytes that wait for the reader at most
 */
export function openSink(fd = 1, kept = KEPT): LogSink {
  const stream = new sonic.SonicBoom({
    fd: withoutBlocking(fd),
    sync: false,
    contentMode: 'buffer',
    maxWrite: 2 * BATCH,
    maxLength: kept,
  }) as unknown as Omit<SonicBoom, 'write'> & { write(bytes: Buffer): boolean };
  let dropped = 0;
  let closed = false;
  // The library would copy all that waits with each line.
  let waiting: string[] = [];
  let length = 0;
  /** What the library holds, batch by batch: how many bytes are not written yet, and how many lines. */
  const handed: { bytes: number; readonly lines: number }[] = [];
  function hand(): void {
    if (closed || length === 0) return;
    const bytes = Buffer.from(waiting.join(''));
    handed.push({ bytes: bytes.length, lines: waiting.length });
    waiting = [];
    length = 0;
    stream.write(bytes);
  }
  setInterval(hand, INTERVAL).unref();
  stream.on('drop', (bytes: Buffer) => {
    // It is told of before the write that brought it returns.
    dropped += handed.pop()?.lines ?? linesIn(bytes);
  });
  stream.on('write', (count: number) => {
    let left = count;
    while (left > 0) {
      const [first] = handed;
      if (first === undefined) return;
      const written = Math.min(left, first.bytes);
      first.bytes -= written;
      left -= written;
      if (first.bytes === 0) handed.shift();
    }
  });
  // Without a listener, the first error would end the process.
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (closed || (error.code !== 'EPIPE' && error.code !== 'EBADF' && error.code !== 'ECONNRESET')) return;
    closed = true;
    dropped += handed.reduce((lines, batch) => lines + batch.lines, waiting.length);
    waiting = [];
    handed.length = 0;
    stream.destroy();
  });
  return {
    write(line: string) {
      if (closed) dropped++;
      else {
        waiting.push(line);
        length += line.length;
        if (length >= BATCH) hand();
      }
    },
    get dropped() {
      return dropped;
    },
    flush(done) {
      if (closed) return done();
      hand();
      const timer = setTimeout(done, LAST_WORDS);
      stream.flush(() => {
        clearTimeout(timer);
        done();
      });
    },
  };
}

function linesIn(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(LF); at !== -1; at = bytes.indexOf(LF, at + 1)) count++;
  return count;
}

const LF = 0x0a;

/**
 * The same pipe, opened anew so that a write to a full one fails instead of holding a thread that file system calls
 * and the end of the process would have to wait for. The flag must not be set on the descriptor itself: whoever else
 * holds it would get it, too. Anything but a pipe does not block for long.
 */
function withoutBlocking(fd: number): number {
  try {
    if (!fstatSync(fd).isFIFO()) return fd;
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch {
    // No such folder, or the pipe belongs to another user: then it is as it was.
    return fd;
  }
}
