import { constants, fstatSync, openSync } from 'node:fs';
import type { DestinationStream } from 'pino';
import sonic, { type SonicBoom } from 'sonic-boom';

/**
 * The destination of log lines. It writes in the background, and drops lines instead of making requests wait.
 */
export interface LogSink extends DestinationStream {
  /** The number of lines dropped so far, because the reader was too slow or gone, or the disk was full. */
  readonly dropped: number;
  /** Whether there is room for new lines: at least half of the buffer. */
  readonly hasRoom: boolean;
  /**
   * Writes the buffered lines. For the end of the process.
   *
   * @param done called when they are written, or after half a second
   */
  flush(done: () => void): void;
}

/** Lines are written in batches: at this many characters, or after this many milliseconds. */
const BATCH = 32_768;
const INTERVAL = 200;
/** The most bytes that are buffered for a slow reader. */
const MAX_BUFFERED = 8 * 1024 * 1024;
/** How long the end of the process waits until lines are written, in milliseconds. */
const FLUSH_TIMEOUT = 500;

/**
 * Opens standard output, or another descriptor, for log lines. Requests never wait for the reader of the log.
 * Up to some megabytes are buffered for a slow reader. If the buffer is full, the reader is gone or the disk
 * is full, lines are dropped and counted. When there is room again, lines are written again.
 *
 * @param fd the file descriptor
 * @param kept the most bytes that are buffered for the reader
 */
export function openSink(fd = 1, kept = MAX_BUFFERED): LogSink {
  const stream = new sonic.SonicBoom({
    fd: withoutBlocking(fd),
    sync: false,
    contentMode: 'buffer',
    maxWrite: 2 * BATCH,
    maxLength: kept,
  }) as unknown as Omit<SonicBoom, 'write'> & { write(bytes: Buffer): boolean };
  let dropped = 0;
  let closed = false;
  // Collect lines here: the library would copy everything that it buffers with each line.
  let waiting: string[] = [];
  let length = 0;
  /**
   * The batches that the library holds: how many bytes of each are not written yet, and how many lines it
   * has.
   */
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
    // The library emits `drop` before the write that caused it returns, so it is the last batch.
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
  // Without a listener, the first error would crash the process.
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
    get hasRoom() {
      return !closed && handed.reduce((sum, { bytes }) => sum + bytes, length) <= kept / 2;
    },
    flush(done) {
      if (closed) return done();
      hand();
      const timer = setTimeout(done, FLUSH_TIMEOUT);
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
 * Opens the same pipe again with O_NONBLOCK, so that a write to a full pipe fails. A blocking write would
 * hold a thread that file system calls and the end of the process need. The flag is not set on the descriptor
 * itself, because it would apply to every other process that holds it. What is not a pipe does not block for
 * long.
 */
function withoutBlocking(fd: number): number {
  try {
    if (!fstatSync(fd).isFIFO()) return fd;
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch {
    // There is no /proc, or the pipe belongs to another user: use the descriptor as it is.
    return fd;
  }
}
