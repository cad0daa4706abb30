import { closeSync, constants, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';

/** The content of a file cannot be used. The message quotes nothing from it. */
export class UnusableFile extends Error {
  /** The end of a sentence that begins with the file's name. */
  readonly problem: string;

  constructor(problem: string) {
    super(`the file ${problem}`);
    this.problem = problem;
    this.name = 'UnusableFile';
  }
}

/** The content of a file is not UTF-8. The message contains nothing of the content. */
export class NotText extends UnusableFile {
  constructor() {
    super('is not UTF-8 text');
    this.name = 'NotText';
  }
}

/** The most bytes of one file. It bounds the memory for a device such as `/dev/zero`, which never ends. */
const MAX_BYTES = 67_108_864;
/** Bytes per read. */
const CHUNK = 65_536;
/** Milliseconds for which {@link readTextFile} waits for the writer of a pipe. Requests may have to wait as long. */
const WAIT = 2_000;
/** Milliseconds between two looks at a pipe. */
const PAUSE = 10;

/**
 * Drops the byte order mark, which Windows editors and shells put before the text, where users do not see it.
 */
const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Decodes the content of a file as UTF-8, without the byte order mark that it may begin with.
 *
 * @returns the text
 * @throws NotText if the content is not UTF-8: with replacement characters, half of a secret or a wrong name
 *   would be used silently
 */
export function decodeText(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new NotText();
  }
}

/**
 * Reads a file of settings, rules, secrets or keys.
 *
 * @param wait how many milliseconds to wait for the writer of a pipe
 * @returns the text, without a byte order mark
 * @throws UnusableFile if it is not UTF-8, is too large, or is a pipe that nobody writes to; an error of the
 *   system if it cannot be read
 */
export function readTextFile(file: string, wait = WAIT): string {
  return decodeText(readBytes(file, wait));
}

/**
 * Reads a file that an argument of a command names. It may be the pipe of another program, which may need some
 * time: `scopegate convert <(kubectl get apirules -A -o yaml)`.
 *
 * @returns the text, without a byte order mark
 * @throws as {@link readTextFile}
 */
export function readArgumentFile(file: string): string {
  return readTextFile(file, 60_000);
}

/**
 * Reads a file of certificates or keys (PEM, RFC 7468). It removes the byte order mark, because the parser
 * would skip the first certificate otherwise. Text outside the encapsulated parts is a comment, in any
 * encoding.
 *
 * @throws UnusableFile as {@link readTextFile}; an error of the system if the file cannot be read
 */
export function readPemFile(file: string): string {
  return readBytes(file, WAIT)
    .toString('utf8')
    .replace(/^\ufeff/, '');
}

/**
 * Reads a regular file without blocking the thread.
 *
 * @returns the text, without a byte order mark
 * @throws UnusableFile if it is not UTF-8, is too large, or is a folder, a device or a pipe; an error of the
 *   system if it cannot be read
 */
export async function readRegularFile(file: string): Promise<string> {
  // Without O_NONBLOCK, opening a named pipe would wait for a writer, and keep one of Node's few file threads.
  const handle = await open(file, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  try {
    const stats = await handle.stat();
    if (!stats.isFile()) throw new UnusableFile('is not a regular file');
    if (stats.size > MAX_BYTES) throw tooLarge();
    return decodeText(await handle.readFile());
  } finally {
    await handle.close();
  }
}

function readBytes(file: string, wait: number): Buffer {
  const isPipe = statSync(file).isFIFO();
  // Without O_NONBLOCK, opening a named pipe would wait for a writer.
  const descriptor = openSync(file, constants.O_RDONLY | (isPipe ? (constants.O_NONBLOCK ?? 0) : 0));
  try {
    if (fstatSync(descriptor).size > MAX_BYTES) throw tooLarge();
    const chunks: Buffer[] = [];
    let size = 0;
    let waited = 0;
    for (;;) {
      const chunk = Buffer.allocUnsafe(CHUNK);
      const read = readSome(descriptor, chunk);
      if (read === undefined) {
        if (waited >= wait)
          throw new UnusableFile(`is a pipe into which nothing was written for ${wait / 1000} s`);
        waited += PAUSE;
        pause();
        continue;
      }
      if (read === 0) break;
      waited = 0;
      size += read;
      if (size > MAX_BYTES) throw tooLarge();
      chunks.push(chunk.subarray(0, read));
    }
    if (isPipe && size === 0) throw new UnusableFile('is a pipe that nobody writes to');
    return Buffer.concat(chunks);
  } finally {
    closeSync(descriptor);
  }
}

/** @returns the number of bytes, 0 at the end, or undefined if the writer of a pipe has written nothing yet */
function readSome(descriptor: number, into: Buffer): number | undefined {
  try {
    return readSync(descriptor, into, 0, into.length, null);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return undefined;
    throw error;
  }
}

function pause(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE);
}

function tooLarge(): UnusableFile {
  return new UnusableFile(`has more than ${MAX_BYTES} bytes`);
}
