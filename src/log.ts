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

/** Lines are written together, at this many bytes or after so many milliseconds. */
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
    minLength: BATCH,
    maxWrite: 2 * BATCH,
    maxLength: kept,
    periodicFlush: INTERVAL,
  });
  let dropped = 0;
  let closed = false;
  stream.on('drop', () => {
    dropped++;
  });
  // Without a listener, the first error would end the process.
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (closed || (error.code !== 'EPIPE' && error.code !== 'EBADF' && error.code !== 'ECONNRESET')) return;
    closed = true;
    dropped += lines(stream);
    stream.destroy();
  });
  return {
    write(line: string) {
      if (closed) dropped++;
      else stream.write(line);
    },
    get dropped() {
      return dropped;
    },
    flush(done) {
      if (closed) return done();
      const timer = setTimeout(done, LAST_WORDS);
      stream.flush(() => {
        clearTimeout(timer);
        done();
      });
    },
  };
}

/** How many lines a stream that is given up still holds. */
function lines(stream: SonicBoom): number {
  const { _bufs: waiting = [], _writingBuf: written = '' } = stream as unknown as {
    _bufs?: readonly string[];
    _writingBuf?: string | Buffer;
  };
  return [...waiting, String(written)].reduce((total, text) => total + text.split('\n').length - 1, 0);
}

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
